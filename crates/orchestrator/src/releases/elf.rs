//! Checks what execve(2) requires of an ELF program (elf(5)): the right machine, and the loader that it
//! names.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

/// The first bytes of an ELF file.
pub(super) const MAGIC: &[u8] = b"\x7fELF";

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;
const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const I386: u16 = 3;
const ARM: u16 = 40;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
/// The greatest number of program headers that is read.
const MOST_HEADERS: u16 = 1024;
/// PATH_MAX.
const LONGEST_PATH: u64 = 4096;

/// A machine, identified by class, byte order and `e_machine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Machine {
    class: u8,
    order: u8,
    number: u16,
}

/// Checks that this machine can run the program, and that its loader exists. A loader below `hidden` cannot
/// be examined.
pub(super) fn check(program: &File, hidden: &[PathBuf]) -> anyhow::Result<()> {
    let header = Header::read(program).context("it is truncated, because its ELF header is incomplete")?;
    let own = File::open("/proc/self/exe").ok().and_then(|own| Header::read(&own));
    if let Some(own) = own {
        let (its, ours) = (header.machine, own.machine);
        ensure!(
            ours.may_run(its),
            "it is built for {}, but this machine is {}; build it for this machine",
            its.name(),
            ours.name()
        );
    }
    ensure!(
        matches!(header.kind, ET_EXEC | ET_DYN),
        "it is not a program but a part of one (ELF type {}); deploy the output of the linker",
        header.kind
    );
    if let Some(loader) = header.loader(program)
        && !hidden.iter().any(|hidden| loader.starts_with(hidden))
        && !loader.exists()
    {
        bail!(
            "its loader {} is not on this machine; install it, or link the program statically or on a \
             system like this one",
            loader.display()
        );
    }
    Ok(())
}

/// The part of the header that matters here.
struct Header {
    machine: Machine,
    kind: u16,
    /// The offset of the program headers, their size and their number.
    headers: (u64, u16, u16),
}

impl Header {
    fn read(file: &File) -> Option<Self> {
        let [class, order] = bytes::<2>(file, 4)?;
        let machine = Machine { class, order, number: u16::from_ne_bytes(bytes(file, 18)?) };
        let is_64 = class == CLASS_64;
        let size = if is_64 { 54 } else { 42 };
        let headers = (
            word(file, if is_64 { 32 } else { 28 }, is_64)?,
            u16::from_ne_bytes(bytes(file, size)?),
            u16::from_ne_bytes(bytes(file, size + 2)?),
        );
        Some(Self { machine, kind: u16::from_ne_bytes(bytes(file, 16)?), headers })
    }

    /// The dynamic loader that the program names (PT_INTERP). `None` if it is linked statically.
    fn loader(&self, file: &File) -> Option<PathBuf> {
        let (at, size, count) = self.headers;
        let is_64 = self.machine.class == CLASS_64;
        let at = |i: u16| at.checked_add(u64::from(size) * u64::from(i));
        let mut headers = (0..count.min(MOST_HEADERS)).filter_map(at);
        let header = headers.find(|at| bytes(file, *at).map(u32::from_ne_bytes) == Some(PT_INTERP))?;
        let offset = word(file, header.checked_add(if is_64 { 8 } else { 4 })?, is_64)?;
        let length = word(file, header.checked_add(if is_64 { 32 } else { 16 })?, is_64)?;
        let mut path = vec![0; usize::try_from(length.min(LONGEST_PATH)).ok()?];
        file.read_exact_at(&mut path, offset).ok()?;
        let path = path.split(|byte| *byte == 0).next()?;
        Some(PathBuf::from(OsStr::from_bytes(path)))
    }
}

impl Machine {
    /// Whether a kernel of this machine can run programs of the other machine. Whether a 64-bit kernel runs
    /// 32-bit programs often depends on how it was built, so those are not refused.
    fn may_run(self, other: Self) -> bool {
        let is_narrower = match (self.number, other.number) {
            // The second is i386, or x32, which is x86_64 with 32-bit addresses.
            (X86_64, I386 | X86_64) | (AARCH64, ARM) => self.class == CLASS_64 && other.class == CLASS_32,
            _ => false,
        };
        self == other || (is_narrower && self.order == other.order)
    }

    fn name(self) -> String {
        let bits = if self.class == CLASS_64 { 64 } else { 32 };
        // The numbers are from elf.h, the names from uname(1).
        match self.number {
            I386 => "i386".to_owned(),
            X86_64 => "x86_64".to_owned(),
            ARM => "arm".to_owned(),
            AARCH64 => "aarch64".to_owned(),
            243 => format!("riscv{bits}"),
            21 => "ppc64".to_owned(),
            22 => "s390x".to_owned(),
            number => format!("another one (ELF machine {number})"),
        }
    }
}

/// Reads an address or a size, which has 32 or 64 bits.
fn word(file: &File, at: u64, is_64: bool) -> Option<u64> {
    if is_64 {
        bytes(file, at).map(u64::from_ne_bytes)
    } else {
        bytes(file, at).map(|b| u32::from_ne_bytes(b).into())
    }
}

fn bytes<const N: usize>(file: &File, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The reason why this test program cannot be executed after the change. Empty if it can.
    fn why(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("worker");
        let mut content = fs::read("/proc/self/exe").unwrap();
        change(&mut content);
        fs::write(&program, content).unwrap();
        check(&File::open(&program).unwrap(), &["/hidden".into()])
            .map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[test]
    fn a_program_of_this_machine_can_be_executed() {
        assert_eq!(why(|_| {}), "");
        let own = File::open("/proc/self/exe").unwrap();
        let loader = Header::read(&own).unwrap().loader(&own).unwrap();
        assert!(loader.to_string_lossy().contains("/ld-"), "{}", loader.display());
    }

    #[test]
    fn what_the_kernel_would_refuse_is_named() {
        let other = if cfg!(target_arch = "aarch64") { (62_u16, "x86_64") } else { (183, "aarch64") };
        let machine = why(|elf| elf[18..20].copy_from_slice(&other.0.to_ne_bytes()));
        assert!(
            machine.starts_with(&format!("it is built for {}, but this machine is ", other.1)),
            "{machine}"
        );
        assert!(
            why(|elf| elf[16..18].copy_from_slice(&1_u16.to_ne_bytes()))
                .contains("not a program but a part of one")
        );
        let loader = why(|elf| {
            let at = elf.windows(4).position(|bytes| bytes == b"/lib").expect("it has a loader");
            elf[at..at + 4].copy_from_slice(b"/xib");
        });
        assert!(loader.contains("its loader /xib") && loader.contains("is not on this machine"), "{loader}");
        assert!(why(|elf| elf.truncate(40)).contains("truncated"));
    }

    #[test]
    fn programs_of_32_bits_are_not_refused() {
        let machine = |class, number| Machine { class, order: 1, number };
        for (kernel, program, may) in [
            (machine(CLASS_64, X86_64), machine(CLASS_32, I386), true),
            (machine(CLASS_64, X86_64), machine(CLASS_32, X86_64), true),
            (machine(CLASS_64, AARCH64), machine(CLASS_32, ARM), true),
            (machine(CLASS_64, AARCH64), Machine { order: 2, ..machine(CLASS_32, ARM) }, false),
            (machine(CLASS_32, I386), machine(CLASS_64, X86_64), false),
            (machine(CLASS_64, X86_64), machine(CLASS_64, AARCH64), false),
        ] {
            assert_eq!(kernel.may_run(program), may, "{kernel:?}, {program:?}");
        }
    }

    #[test]
    fn garbage_is_no_panic() {
        for length in [0, 4, 17, 19, 40, 63, 64, 65, 200] {
            why(|elf| elf.truncate(length));
        }
        why(|elf| elf[32..40].fill(0xff));
        why(|elf| elf[54..58].fill(0xff));
        why(|elf| elf[64..2000].fill(3));
    }
}
