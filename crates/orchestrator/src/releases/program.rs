//! Whether execve(2) can run a program. It is asked before a worker tries: what the kernel says then, "No such file or
//! directory" or "Permission denied", is about another path than the one that systemd names beside it.

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::{binfmt, elf};

/// As much of a script as the kernel reads (BINPRM_BUF_SIZE).
const LINE: u64 = 256;
/// What some editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether this program, which people know as `name`, can be executed here; what is below `hidden` cannot be looked at.
pub(super) fn check(program: &Path, name: &str, hidden: &[PathBuf]) -> anyhow::Result<()> {
    if let Some(mount) = mount_without_exec(program) {
        bail!(
            "{name} cannot be executed: {mount} is mounted with `noexec`; `mount -o remount,exec {mount}` changes that until \
             the next boot, /etc/fstab for good",
            mount = mount.display()
        );
    }
    let open = || File::open(program).with_context(|| format!("failed to read {name}"));
    let mut start = Vec::new();
    open()?.take(LINE).read_to_end(&mut start).with_context(|| format!("failed to read {name}"))?;
    if binfmt::takes(Path::new("/"), program, &start) {
        // What its interpreter wants of it, only that one knows.
        return Ok(());
    }
    if start.starts_with(elf::MAGIC) {
        return elf::check(&open()?, hidden).with_context(|| format!("{name} cannot be executed"));
    }
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    check_script(line, hidden).with_context(|| format!("{name}, line 1"))
}

/// What execve(2) makes of the first line of a script.
fn check_script(line: &[u8], hidden: &[PathBuf]) -> anyhow::Result<()> {
    if let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK)
        && rest.starts_with(b"#!")
    {
        bail!("a byte order mark stands before `#!`; `sed -i '1s/^\\xef\\xbb\\xbf//'` on it removes that");
    }
    let Some(rest) = line.strip_prefix(b"#!") else {
        bail!(
            "neither an ELF program nor a script whose first line begins with `#!`, and nothing else can be executed; \
             write `#!/bin/sh` there if it is one for the shell"
        );
    };
    ensure!(
        !line.ends_with(b"\r"),
        "it ends with CR LF, and the CR is taken for a part of what it names; `sed -i 's/\\r$//'` on it removes them"
    );
    let rest = String::from_utf8_lossy(rest);
    let Some(interpreter) = rest.split([' ', '\t']).find(|word| !word.is_empty()) else {
        bail!("no program is named after `#!`; write one, as in `#!/bin/sh`");
    };
    ensure!(
        interpreter.starts_with('/'),
        "`{interpreter}` is no absolute path; write where it is, as in `#!/usr/bin/{interpreter}`"
    );
    if hidden.iter().any(|hidden| Path::new(interpreter).starts_with(hidden)) {
        return Ok(());
    }
    // That it is for a group only says nothing about the workers, which may be in it.
    let is_program = |metadata: &Metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    match fs::metadata(interpreter) {
        Ok(metadata) if is_program(&metadata) => Ok(()),
        Ok(_) => bail!("{interpreter} is no program that can be executed; write the path of one there"),
        // The user of the workers may see what this one may not.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => {
            bail!("{interpreter}: {error}; install it, or write the path of the program that is meant")
        }
    }
}

/// The mount that does not let this program be executed, if it is on one.
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

    /// Why this cannot be executed, in the words of `check`.
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
            ("echo hello\n", "neither an ELF program nor a script"),
            ("\u{feff}#!/bin/sh\n", "a byte order mark stands before `#!`; `sed -i '1s/^\\xef\\xbb\\xbf//'`"),
            (
                "#!/bin/sh\r\nexit\r\n",
                "it ends with CR LF, and the CR is taken for a part of what it names; `sed -i 's/\\r$//'`",
            ),
            ("#!\n", "no program is named after `#!`"),
            ("#!python3\n", "write where it is, as in `#!/usr/bin/python3`"),
            ("#!/usr/bin/no-such-node --x\n", "/usr/bin/no-such-node: No such file or directory"),
            ("#!/etc/passwd\n", "/etc/passwd is no program that can be executed"),
            ("#!/bin\n", "/bin is no program that can be executed"),
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
        for (mode, said) in
            [(0o750, ""), (0o010, ""), (0o755, ""), (0o644, "is no program that can be executed")]
        {
            fs::set_permissions(&python, fs::Permissions::from_mode(mode)).unwrap();
            let why = why(&script);
            assert!(if said.is_empty() { why.is_empty() } else { why.contains(said) }, "{mode:o}: {why}");
        }
    }

    #[test]
    fn a_mount_without_exec_is_told_from_others() {
        // proc_pid_mountinfo(5): the fifth field is where, the sixth how. Of two at one place the last is seen.
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
