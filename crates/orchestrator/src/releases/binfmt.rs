//! Finds out whether an interpreter is registered for a program, such as qemu or Java (binfmt_misc).
//!
//! The kernel tries the registered interpreters before anything else. The sandbox hides the kernel's own list
//! (`ProcSubset=pid`). So this does not find an interpreter that was registered without a file, as a
//! container tool does.

use std::fs;
use std::path::Path;

/// The directories of what is registered at boot (binfmt.d(5)). Each line of a file is an entry.
const LINES: [&str; 4] = ["etc/binfmt.d", "run/binfmt.d", "usr/local/lib/binfmt.d", "usr/lib/binfmt.d"];
/// The directory of Debian's update-binfmts(8). Each file is an entry.
const FILES: &str = "var/lib/binfmts";

/// The sign by which a program is recognized.
#[derive(Debug, PartialEq, Eq)]
enum Sign {
    /// These bytes at this offset. Only the bits that are set in the mask count.
    Magic { offset: usize, magic: Vec<u8>, mask: Vec<u8> },
    /// The extension of its name.
    Extension(String),
}

/// Whether an entry below `root` matches the program with this path and these first bytes.
pub(super) fn takes(root: &Path, program: &Path, start: &[u8]) -> bool {
    let lines = LINES.into_iter().flat_map(|directory| texts(&root.join(directory)));
    let lines = lines.flat_map(|text| text.lines().filter_map(of_line).collect::<Vec<_>>());
    let files = texts(&root.join(FILES)).filter_map(|text| of_file(&text));
    lines.chain(files).any(|sign| sign.is_of(program, start))
}

fn texts(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_to_string(entry.path()).ok())
}

/// Parses `:name:M:offset:magic:mask:interpreter:flags`, with any delimiter. For the kind `E`, the magic is
/// an extension.
fn of_line(line: &str) -> Option<Sign> {
    let delimiter = line.chars().next().filter(|first| !['#', ';'].contains(first))?;
    let mut fields = line.split(delimiter).skip(2);
    let (kind, offset, sign, mask) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    match kind {
        "M" => Sign::magic(offset, bytes(sign)?, bytes(mask)?),
        "E" => Some(Sign::Extension(sign.to_owned())),
        _ => None,
    }
}

/// Parses a file with one line each for package, kind, offset, magic or extension, and mask.
fn of_file(text: &str) -> Option<Sign> {
    let mut lines = text.lines().skip(1);
    let (kind, offset, sign, mask) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    match kind {
        "magic" => Sign::magic(offset, bytes(sign)?, bytes(mask)?),
        "extension" => Some(Sign::Extension(sign.to_owned())),
        _ => None,
    }
}

impl Sign {
    fn magic(offset: &str, magic: Vec<u8>, mask: Vec<u8>) -> Option<Self> {
        let offset = if offset.is_empty() { 0 } else { offset.parse().ok()? };
        (!magic.is_empty()).then_some(Self::Magic { offset, magic, mask })
    }

    fn is_of(&self, program: &Path, start: &[u8]) -> bool {
        match self {
            Self::Extension(extension) => program.extension().is_some_and(|its| its == extension.as_str()),
            Self::Magic { offset, magic, mask } => {
                let its = start.get(*offset..).and_then(|rest| rest.get(..magic.len()));
                let mask = mask.iter().copied().chain(std::iter::repeat(0xff));
                its.is_some_and(|its| {
                    its.iter().zip(magic).zip(mask).all(|((a, b), mask)| (a ^ b) & mask == 0)
                })
            }
        }
    }
}

/// Parses a text in which `\x7f` stands for a byte.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split(r"\x");
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mask ignores the bits that differ between kinds of ELF files.
    const QEMU: &str =
        r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00:\xff\xff\xff\xff\xff\xfe\xff\x00:/usr/bin/qemu:OPF";

    #[test]
    fn what_is_registered_for_a_program_is_found() {
        let elf = b"\x7fELF\x02\x01\x01\x09rest";
        let debian = "qemu-user\nmagic\n0\n\\x7fELF\\x02\n\\xff\\xff\\xff\\xff\\xff\n/usr/bin/qemu\n";
        for (file, text, is_it) in [
            ("usr/lib/binfmt.d/qemu.conf", format!("# qemu\n{QEMU}\n"), true),
            ("usr/lib/binfmt.d/qemu.conf", format!("#{QEMU}\n"), false),
            ("usr/lib/binfmt.d/s390x.conf", r":s:M:4:\x02\x02::/usr/bin/qemu:".to_owned(), false),
            ("usr/lib/binfmt.d/rest.conf", ",rest,M,8,rest,,/usr/bin/rest,".to_owned(), true),
            ("etc/binfmt.d/jar.conf", ":jar:E::jar::/usr/bin/jexec:".to_owned(), true),
            ("etc/binfmt.d/exe.conf", ":exe:E::exe::/usr/bin/wine:".to_owned(), false),
            ("var/lib/binfmts/qemu", debian.to_owned(), true),
        ] {
            let root = tempfile::tempdir().unwrap();
            let takes = || takes(root.path(), Path::new("/srv/shop.jar"), elf);
            assert!(!takes());
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &text).unwrap();
            assert_eq!(takes(), is_it, "{file}: {text}");
        }
    }

    #[test]
    fn garbage_takes_nothing() {
        for text in
            ["", ":", ":::::::", r":a:M:x:\x7f::/b:", r":a:M::\x7::/b:", r":a:M::\xzz::/b:", "é", "\\xé"]
        {
            assert_eq!(of_line(text), None, "{text:?}");
            assert_eq!(of_file(&format!("a\nmagic\n0\n{}\n", text.replace("é", "\\xé"))), None, "{text:?}");
        }
    }
}
