//! The lines of `systemd-analyze verify`, as systemd 252 to 257 write them.

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// `file:line: message`.
    OfLine { file: &'a str, line: usize, message: &'a str },
    /// `unit: message`.
    OfUnit { unit: &'a str, message: &'a str },
    /// A consequence of another message.
    Follows(&'a str),
}

/// Parses a line; none if it is not about a unit.
pub(super) fn parse(line: &str) -> Option<Said<'_>> {
    let line = line.trim();
    if line.contains("has a bad unit file setting") || line.contains("not loaded, socket cannot be started") {
        return Some(Said::Follows(line));
    }
    let (place, message) = line.split_once(": ")?;
    match place.rsplit_once(':').map(|(file, number)| (file, number.parse())) {
        Some((file, Ok(line))) if file.starts_with('/') => Some(Said::OfLine { file, line, message }),
        _ if place.contains(' ') || !place.contains('.') => None,
        _ => Some(Said::OfUnit { unit: place, message }),
    }
}

/// The quoted word after `before`, as in `Unknown key 'MemoryMx' in section [Service]`.
pub(super) fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.split_once(before)?.1.split_once('\'').map(|(word, _)| word)
}

/// Whether the message about a line is about an assignment. Sections and invalid lines have no key.
pub(super) fn is_about_a_key(message: &str) -> bool {
    const NOT: [&str; 4] =
        ["Unknown section", "Invalid section header", "Assignment outside of section", "Missing '='"];
    !NOT.iter().any(|words| message.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_told_apart() {
        let of_line = |line, message| Some(Said::OfLine { file: "/etc/x.d/a.conf", line, message });
        assert_eq!(
            parse("/etc/x.d/a.conf:4: Failed to parse WatchdogSec=10x, ignoring: Invalid argument"),
            of_line(4, "Failed to parse WatchdogSec=10x, ignoring: Invalid argument")
        );
        assert_eq!(
            parse("worker@1.service: Command /usr/bin/no is not executable: No such file or directory"),
            Some(Said::OfUnit {
                unit: "worker@1.service",
                message: "Command /usr/bin/no is not executable: No such file or directory"
            })
        );
        let bad = "Unit worker@1.service has a bad unit file setting.";
        assert_eq!(parse(bad), Some(Said::Follows(bad)));
        assert_eq!(parse("Failed to initialize manager: Permission denied"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn words_are_found() {
        assert_eq!(
            quoted("Unknown key 'MemoryMx' in section [Service], ignoring.", "key '"),
            Some("MemoryMx")
        );
        assert_eq!(quoted("Unknown section 'Servce'. Ignoring.", "section '"), Some("Servce"));
        assert_eq!(quoted("Missing '=', ignoring line.", "key '"), None);
    }
}
