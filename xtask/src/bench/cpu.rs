//! The processor time of every program that takes part in a rollout.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::cluster::{Cluster, SERVICE};

/// The programs, in the order of [`Usage::of_each`].
pub(super) const WHO: [&str; 6] =
    ["PID 1", "dbus-daemon", "polkitd", "journald", "orchestrator", "`app-cluster reload`"];

/// The index of the orchestrator in [`WHO`].
pub(super) const ORCHESTRATOR: usize = 4;

/// The index of `app-cluster reload` in [`WHO`]: one process for a whole rollout.
pub(super) const CALLER: usize = WHO.len() - 1;

/// The units whose control groups are read, in the order of [`WHO`]. The service contains the last two.
const UNITS: [&str; 5] =
    ["init.scope", "dbus.service", "polkit.service", "systemd-journald.service", SERVICE];

/// How much processor time each has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    of_each: [Duration; WHO.len()],
}

impl Usage {
    /// The usage until now. systemd counts the time of its control groups exactly, including all children.
    pub(super) fn until_now(cluster: &Cluster, orchestrator: u32) -> Result<Self> {
        let show = ["show", "--property=Id,CPUUsageNSec"].into_iter().chain(UNITS);
        let text = cluster.machine.systemctl(show).into_success()?;
        let units: HashMap<&str, Duration> = text.split("\n\n").filter_map(unit).collect();
        let of =
            |name: &str| units.get(name).copied().with_context(|| format!("systemd counts no CPU of {name}"));
        let [pid1, bus, polkit, journal, service] = UNITS.map(of);
        let orchestrator = of_process(&cluster.proc(orchestrator))?;
        // Everything else in the service was started by ExecReload=.
        let reload = service?.saturating_sub(orchestrator);
        Ok(Self { of_each: [pid1?, bus?, polkit?, journal?, orchestrator, reload] })
    }

    /// The usage between `before` and this.
    pub(super) fn since(self, before: Self) -> Self {
        let mut of_each = self.of_each;
        for (now, before) in of_each.iter_mut().zip(before.of_each) {
            *now = now.saturating_sub(before);
        }
        Self { of_each }
    }

    /// The time of each of [`WHO`].
    pub(super) fn of_each(self) -> [Duration; WHO.len()] {
        self.of_each
    }
}

fn unit(block: &str) -> Option<(&str, Duration)> {
    let value = |name| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Some((value("Id")?, Duration::from_nanos(value("CPUUsageNSec")?.parse().ok()?)))
}

/// The first number in a thread's schedstat is its time on a processor, in nanoseconds (the kernel's
/// Documentation/scheduler/sched-stats.rst).
fn of_process(proc: &Path) -> Result<Duration> {
    let mut nanos = 0;
    for thread in
        fs::read_dir(proc.join("task")).with_context(|| format!("failed to list {}", proc.display()))?
    {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let first = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        nanos += first.with_context(|| format!("{} begins with no number", path.display()))?;
    }
    Ok(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_without_a_count_is_none() {
        assert_eq!(
            unit("CPUUsageNSec=1032988000\nId=init.scope"),
            Some(("init.scope", Duration::from_nanos(1_032_988_000)))
        );
        assert_eq!(unit("CPUUsageNSec=[not set]\nId=dbus.service"), None);
    }
}
