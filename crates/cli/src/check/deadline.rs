//! Compares `rollout.worker_deadline` with the worker's unit. Each may be right by itself.

use std::time::Duration;

use config::{Deadline, Settings, timespan};

use super::problem::Findings;
use super::unit::Unit;
use super::units::{Units, WORKER};

/// `DefaultTimeoutStartSec=` and `DefaultTimeoutStopSec=` of systemd-system.conf(5).
const SYSTEMDS_DEFAULT: Duration = Duration::from_secs(90);

/// Checks the deadline, if one is set, against the worker's unit.
pub(super) fn check(units: &Units, settings: &Settings, findings: &mut Findings) {
    let Deadline::After(deadline) = settings.rollout.worker_deadline else { return };
    let Some(longest) = units.get(WORKER).and_then(longest_replacement) else { return };
    if deadline < longest {
        findings.warnings.push(format!(
            "{}: warning: is {}, TimeoutStopSec= and TimeoutStartSec= of {WORKER} are {} together (a \
             worker that drains and starts for as long as its unit lets it would fail the rollout); write \
             worker_deadline = \"auto\"",
            place(settings),
            timespan::format(deadline),
            timespan::format(longest)
        ));
    }
}

/// How long the unit lets a worker stop and start; none if it sets no limit.
fn longest_replacement(worker: &Unit) -> Option<Duration> {
    let stop = timeout(worker, &[("Service", "TimeoutStopSec"), ("Service", "TimeoutSec")])?;
    let start = timeout(worker, &[("Service", "TimeoutStartSec"), ("Service", "TimeoutSec")])?;
    Some(stop + start)
}

fn place(settings: &Settings) -> String {
    const KEY: &str = "rollout.worker_deadline";
    let effective = settings.effective();
    let origin = effective.iter().find(|key| key.key == KEY).and_then(|key| key.origin);
    origin.map_or_else(
        || KEY.to_owned(),
        |origin| {
            let position = &origin.position;
            format!("{}:{}:{}: {KEY}", origin.file.display(), position.line, position.column)
        },
    )
}

/// The timeout in effect; none if it is infinite, or if it is invalid and systemd ignores it.
fn timeout(unit: &Unit, names: &[(&'static str, &'static str)]) -> Option<Duration> {
    let last = unit.assignments(names).rfind(|assignment| !assignment.value.is_empty());
    let Some(last) = last else { return Some(SYSTEMDS_DEFAULT) };
    timespan::parse(&last.value).ok().filter(|timeout| !timeout.is_zero())
}
