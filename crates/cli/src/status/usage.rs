//! The memory of a worker: that of its control group.

use std::fs;
use std::path::Path;

/// The bytes charged to the control group of `pid`; nothing without process, cgroup v2 or permission.
pub(super) fn of_process(pid: u32) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let current = Path::new("/sys/fs/cgroup").join(group(&groups)?).join("memory.current");
    fs::read_to_string(current).ok()?.trim().parse().ok()
}

/// The path in the unified hierarchy, `cgroups(7)`: the line that begins with `0::`.
fn group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_that_of_the_unified_hierarchy() {
        let worker = "app.slice/worker@1.service";
        assert_eq!(group(&format!("0::/{worker}\n")), Some(worker));
        assert_eq!(group(&format!("4:memory:/x\n0::/{worker}\n")), Some(worker));
        assert_eq!(group("4:memory:/x\n"), None);
    }

    #[test]
    fn without_a_process_there_is_none() {
        assert_eq!(of_process(0), None);
    }
}
