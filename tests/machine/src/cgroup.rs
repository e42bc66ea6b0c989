//! The cgroups of a machine.
//!
//! `systemd-nspawn --keep-unit` puts the payload into a child of the cgroup in which it was started. Two
//! machines started from the same cgroup would share that child, and each machine's systemd would see and
//! kill the other's processes. So each machine starts from its own cgroup.

use std::{fs, path::PathBuf};

/// The directories to make for the machine `name`, in every hierarchy that systemd uses: cgroup2, and on
/// hosts with the old layout also `name=systemd`.
pub(crate) fn directories(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    parse(&mounts, &memberships).into_iter().map(|own| own.join(name)).collect()
}

/// This process' own cgroup directories. Formats: proc_pid_mountinfo(5), cgroups(7).
fn parse(mounts: &str, memberships: &str) -> Vec<PathBuf> {
    let own = |controllers: &str| {
        memberships.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (named, path) = rest.split_once(':')?;
            (named == controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mount_point = left.split(' ').nth(4)?;
            let mut right = right.split(' ');
            let (kind, options) = (right.next()?, right.nth(1)?);
            let membership = match kind {
                "cgroup2" => own("")?,
                "cgroup" if options.split(',').any(|option| option == "name=systemd") => own("name=systemd")?,
                _ => return None,
            };
            Some(PathBuf::from(mount_point).join(membership))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unified_host_has_one() {
        let mounts = "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let own = parse(mounts, "0::/user.slice/user-0.slice/session-1.scope\n");
        assert_eq!(own, [PathBuf::from("/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope")]);
    }

    #[test]
    fn a_hybrid_host_has_two() {
        let mounts = "\
            31 30 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            33 31 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            34 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = parse(mounts, "9:name=systemd:/\n4:memory:/jobs\n0::/\n");
        assert_eq!(own, [PathBuf::from("/sys/fs/cgroup/systemd/"), PathBuf::from("/sys/fs/cgroup/unified/")]);
    }
}
