//! Units and their object paths.

const UNITS: &str = "/org/freedesktop/systemd1/unit/";
/// The namespace of the paths of all units.
pub(super) const NAMESPACE: &str = "/org/freedesktop/systemd1/unit";

/// The object path of a unit: every byte that is not a letter or digit is written as `_` and two hex digits.
pub(super) fn path(unit: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("_{byte:02x}"),
    };
    format!("{UNITS}{}", unit.bytes().map(escape).collect::<String>())
}

/// The unit that an object path stands for.
pub(super) fn name(path: &str) -> Option<String> {
    let mut bytes = path.strip_prefix(UNITS)?.bytes();
    let mut name = Vec::new();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'_' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_each_others_inverse() {
        let path = path("worker@12.service");
        assert_eq!(path, "/org/freedesktop/systemd1/unit/worker_4012_2eservice");
        assert_eq!(name(&path).as_deref(), Some("worker@12.service"));
        for bad in [
            "/org/freedesktop/systemd1/unit/worker_4",
            "/else/worker_401",
            "/org/freedesktop/systemd1/unit/_zz",
        ] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
