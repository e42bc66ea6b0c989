//! Checks whether execve(2) can run a program. The check comes before a worker starts, because the kernel's
//! own errors mislead. "No such file or directory" or "Permission denied" is about another path than the one
//! that systemd names.

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::{binfmt, elf};

/// How many bytes of a script the kernel reads (BINPRM_BUF_SIZE).
const LINE: u64 = 256;
/// The bytes that some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Checks whether this program can be executed on this machine. Errors call it `name`. A path below `hidden`
/// cannot be examined.
pub(super) fn check(program: &Path, name: &str, hidden: &[PathBuf]) -> anyhow::Result<()> {
    if let Some(mount) = mount_without_exec(program) {
        bail!(
            "{name} cannot be executed, because {mount} is mounted with `noexec`; `mount -o remount,exec {mount}` \
             allows it until the next boot, and a change in /etc/fstab allows it permanently",
            mount = mount.display()
        );
    }
    let open = || File::open(program).with_context(|| format!("failed to read {name}"));
    let mut start = Vec::new();
    open()?.take(LINE).read_to_end(&mut start).with_context(|| format!("failed to read {name}"))?;
    if binfmt::takes(Path::new("/"), program, &start) {
        // Only the interpreter knows what it requires of the program.
        return Ok(());
    }
    if start.starts_with(elf::MAGIC) {
        return elf::check(&open()?, hidden).with_context(|| format!("{name} cannot be executed"));
    }
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    check_script(line, hidden).with_context(|| format!("{name}, line 1"))
}

/// Checks the first line of a script as execve(2) reads it.
fn check_script(line: &[u8], hidden: &[PathBuf]) -> anyhow::Result<()> {
    if let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK)
        && rest.starts_with(b"#!")
    {
        bail!("a byte order mark precedes `#!`; run `sed -i '1s/^\\xef\\xbb\\xbf//'` on the file");
    }
    let Some(rest) = line.strip_prefix(b"#!") else {
        bail!(
            "it is neither an ELF program nor a script that begins with `#!`, so it cannot be executed; \
             if it is a shell script, write `#!/bin/sh` there"
        );
    };
    ensure!(
        !line.ends_with(b"\r"),
        "it ends with CR LF, so the kernel takes the CR as part of the name; run `sed -i 's/\\r$//'` on the file"
    );
    let rest = String::from_utf8_lossy(rest);
    let Some(interpreter) = rest.split([' ', '\t']).find(|word| !word.is_empty()) else {
        bail!("no program follows `#!`; write one, as in `#!/bin/sh`");
    };
    ensure!(
        interpreter.starts_with('/'),
        "`{interpreter}` is not an absolute path; write its path, as in `#!/usr/bin/{interpreter}`"
    );
    if hidden.iter().any(|hidden| Path::new(interpreter).starts_with(hidden)) {
        return Ok(());
    }
    // A program that only a group may execute is not refused, because the workers may be in that group.
    let is_program = |metadata: &Metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    match fs::metadata(interpreter) {
        Ok(metadata) if is_program(&metadata) => Ok(()),
        Ok(_) => bail!("{interpreter} is not an executable program; write the path of one there"),
        // The user of the workers may have access where this process has none.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => {
            bail!("{interpreter}: {error}; install it, or write the path of another program")
        }
    }
}

/// The mount point with `noexec` that the program is on, if any.
fn mount_without_exec(program: &Path) -> Option<&Path> {
    let device = fs::metadata(program).ok()?.dev();
    let is_of_it = |path: &&Path| {
        let is_without = statvfs(*path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOEXEC));
        is_without && fs::metadata(path).is_ok_and(|metadata| metadata.dev() == device)
    };
    program.ancestors().take_while(is_of_it).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of `check` for a program with this content. Empty if it can be executed.
    fn why(content: impl AsRef<[u8]>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("worker");
        fs::write(&program, content).unwrap();
        let checked = check(&program, "/srv/shop/worker", &["/home".into()]);
        checked.map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[test]
    fn a_script_names_a_program_that_is_there() {
        for sound in [
            "#!/bin/sh\n",
            "#!/bin/sh",
            "#! \t/bin/sh -eu\nexit\r\n",
            "#!/usr/bin/env node\n",
            "#!/home/me/node\n",
        ] {
            assert_eq!(why(sound), "", "{sound:?}");
        }
        for (content, said) in [
            ("echo hello\n", "it is neither an ELF program nor a script"),
            ("\u{feff}#!/bin/sh\n", "a byte order mark precedes `#!`; run `sed -i '1s/^\\xef\\xbb\\xbf//'`"),
            (
                "#!/bin/sh\r\nexit\r\n",
                "it ends with CR LF, so the kernel takes the CR as part of the name; run `sed -i 's/\\r$//'`",
            ),
            ("#!\n", "no program follows `#!`"),
            ("#!python3\n", "write its path, as in `#!/usr/bin/python3`"),
            ("#!/usr/bin/no-such-node --x\n", "/usr/bin/no-such-node: No such file or directory"),
            ("#!/etc/passwd\n", "/etc/passwd is not an executable program"),
            ("#!/bin\n", "/bin is not an executable program"),
        ] {
            let why = why(content);
            assert!(
                why.starts_with("/srv/shop/worker, line 1: ") && why.contains(said),
                "{content:?}: {why}"
            );
        }
    }

    #[test]
    fn an_interpreter_for_a_group_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let python = dir.path().join("python");
        fs::write(&python, "").unwrap();
        let script = format!("#!{}\n", python.display());
        for (mode, said) in [(0o750, ""), (0o010, ""), (0o755, ""), (0o644, "is not an executable program")] {
            fs::set_permissions(&python, fs::Permissions::from_mode(mode)).unwrap();
            let why = why(&script);
            assert!(if said.is_empty() { why.is_empty() } else { why.contains(said) }, "{mode:o}: {why}");
        }
    }

    #[test]
    fn a_mount_without_exec_is_told_from_others() {
        // In proc_pid_mountinfo(5), the fifth field is the mount point, the sixth its options. Of two mounts
        // at one place, the last is visible.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(4);
            Some((fields.next()?, fields.next()?.split(',').any(|option| option == "noexec")))
        });
        let mounts: std::collections::BTreeMap<_, _> = mounts.collect();
        for (path, is_without) in mounts.into_iter().filter(|(path, _)| Path::new(path).exists()) {
            assert_eq!(mount_without_exec(Path::new(path)).is_some(), is_without, "{path}");
        }
        assert_eq!(mount_without_exec(&fs::canonicalize("/bin/sh").unwrap()), None);
    }
}
