//! What a worker uses: the memory of its control group, the processor time of its main process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What a worker uses. A value is absent without a process, without cgroup v2 or without permission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// The bytes charged to its control group.
    pub(super) memory_bytes: Option<u64>,
    /// The processor time of its main process.
    pub(super) cpu: Option<Cpu>,
}

/// The processor time of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cpu {
    /// The time that the process has used.
    pub(super) used: Duration,
    /// How long ago it began.
    pub(super) age: Duration,
}

impl Usage {
    /// What the worker with this main process uses. 0 means that there is no process.
    pub(super) fn of_process(pid: u32) -> Self {
        Self { memory_bytes: memory(pid), cpu: cpu(pid) }
    }
}

fn memory(pid: u32) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let current = Path::new("/sys/fs/cgroup").join(group(&groups)?).join("memory.current");
    fs::read_to_string(current).ok()?.trim().parse().ok()
}

/// The path in the unified hierarchy, `cgroups(7)`. Its line begins with `0::`.
fn group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

fn cpu(pid: u32) -> Option<Cpu> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let Times { used, began } = times(&stat, rustix::param::clock_ticks_per_second())?;
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    Some(Cpu { used, age: now.saturating_sub(began) })
}

#[derive(Debug, PartialEq, Eq)]
struct Times {
    used: Duration,
    /// Since the boot.
    began: Duration,
}

/// `proc_pid_stat(5)`: utime and stime are the fields 14 and 15, starttime is 22. The name, field 2, may contain blanks and
/// parentheses.
fn times(stat: &str, ticks_per_second: u64) -> Option<Times> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let span = |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64);
    Some(Times { used: span(ticks(14)?.saturating_add(ticks(15)?)), began: span(ticks(22)?) })
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
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) 9 (b) S 1 7 7 0 -1 4194560 228 0 0 0 250 50 8 9 20 0 1 0 1200 2985984 249";
        let times_of = |stat| times(stat, 100);
        let expected = Times { used: Duration::from_secs(3), began: Duration::from_secs(12) };
        assert_eq!(times_of(stat), Some(expected));
        assert_eq!(times_of("7 (a) S 1 7"), None);
        assert_eq!(times_of(""), None);
        let of_us = cpu(std::process::id()).unwrap();
        assert!(of_us.age < Duration::from_secs(3600), "{of_us:?}");
    }

    #[test]
    fn without_a_process_nothing_is_known() {
        assert_eq!(Usage::of_process(0), Usage::default());
    }
}
