//! The programs of the services, as their users see them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::conf::whether;
use super::problem::{Findings, Problem};
use super::unit::Unit;
use super::unit_file::Assignment;
use super::units::Units;
use super::users::{self, Access, Want};

/// The settings that name a program; systemd.service(5).
const COMMANDS: [&str; 7] =
    ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost"];

/// Adds what prevents the services' users from executing the programs of the units below `root`. If a program is
/// missing, systemd reports it.
pub(super) fn check(root: &Path, units: &Units, findings: &mut Findings) {
    for unit in units.loaded.iter().map(|loaded| &loaded.unit) {
        for at in COMMANDS.iter().flat_map(|key| unit.list("Service", key)) {
            check_command(root, unit, at, findings);
        }
    }
}

fn check_command(root: &Path, unit: &Unit, at: &Assignment, findings: &mut Findings) {
    let Some(program) = program(&at.value) else { return };
    let file = root.join(program.trim_start_matches('/'));
    if !file.exists() {
        return;
    }
    if let Some(mount) = noexec_mount(&file) {
        let mount = mount.display();
        let text = format!(
            "{program} is on {mount}, which is mounted with noexec (203/EXEC); write `mount -o remount,exec {mount}` and \
             exec in /etc/fstab, or move it"
        );
        return findings.add(Problem::new("noexec", at.place(), text));
    }
    let Some(account) = users::of_service(root, unit).filter(|_| !runs_as_root(&at.value)) else { return };
    match account.may(Want::Execute, root, &file) {
        Access::Granted => {}
        Access::Denied(obstacle) => {
            let mode = if obstacle.is_dir() { "o+x" } else { "o+rx" };
            let text = format!(
                "user {} cannot execute {program} (203/EXEC); write `chmod {mode} {}`",
                account.name,
                obstacle.display(),
            );
            findings.add(Problem::new("program", at.place(), text));
        }
        Access::Unknown(obstacle) => findings.not_seen(whether(&account.name, "execute", &file, &obstacle)),
    }
}

/// Whether `User=` does not apply, because `+` is among the prefixes.
fn runs_as_root(command: &str) -> bool {
    command.split('/').next().is_some_and(|prefixes| prefixes.contains('+'))
}

/// The program of a command line; none if its path is unknown here. systemd.service(5), COMMAND LINES, lists the
/// prefixes.
fn program(command: &str) -> Option<&str> {
    let program = command.trim_start_matches(['-', '@', ':', '+', '!', '|']).split_whitespace().next()?;
    let program = program.trim_matches('"');
    (program.starts_with('/') && !program.contains('%')).then_some(program)
}

/// Where the file system of `file` is mounted, if nothing on it can be executed.
fn noexec_mount(file: &Path) -> Option<PathBuf> {
    let file = fs::canonicalize(file).ok()?;
    let flags = rustix::fs::statvfs(&file).ok()?.f_flag;
    if !flags.contains(StatVfsMountFlags::NOEXEC) {
        return None;
    }
    // proc(5): the fifth field of mountinfo is the mount point. Of two at the same place, the later one covers the
    // other.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| Some(PathBuf::from(unescaped(line.split(' ').nth(4)?))));
    let above = points.filter(|point| file.starts_with(point));
    Some(above.max_by_key(|point| point.components().count()).unwrap_or(file.clone()))
}

/// The kernel writes space, tab, newline and backslash of a mount point as octal numbers.
fn unescaped(point: &str) -> String {
    let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    pairs.iter().fold(point.to_owned(), |point, (octal, plain)| point.replace(octal, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_stands_behind_prefixes() {
        assert_eq!(program("/usr/bin/node /srv/app.js"), Some("/usr/bin/node"));
        assert_eq!(program("-+/bin/true"), Some("/bin/true"));
        assert_eq!(program("\"/usr/bin/a\" b"), Some("/usr/bin/a"));
        assert_eq!(program("node server.js"), None);
        assert_eq!(program("/srv/%i/run"), None);
    }

    #[test]
    fn a_path_on_a_mount_is_unescaped() {
        assert_eq!(unescaped("/srv/a\\040b"), "/srv/a b");
    }
}
