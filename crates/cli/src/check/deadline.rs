//! What `rollout.worker_deadline` and the worker's unit say together: each may be right by itself.

use std::path::Path;
use std::time::Duration;

use config::{Deadline, Settings, timespan};

use super::rules::WORKER;
use super::unit::{self, Unit};

/// `DefaultTimeoutStartSec=` and `DefaultTimeoutStopSec=` of systemd-system.conf(5).
const SYSTEMDS_DEFAULT: Duration = Duration::from_secs(90);

/// What is wrong or doubtful about the deadline of one worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Every rollout would fail.
    Problem(String),
    /// Some rollout might.
    Warning(String),
}

/// Checks the deadline, if one is set, against the settle time and the unit below `root`.
pub(super) fn check(root: &Path, settings: &Settings) -> Option<Finding> {
    let Deadline::After(deadline) = settings.rollout.worker_deadline else { return None };
    let place = place(settings);
    let (settle, written) = (settings.rollout.settle, timespan::format(deadline));
    if deadline <= settle {
        return Some(Finding::Problem(format!(
            "{place}: is {written}, rollout.settle is {} (no worker could settle in time, every rollout would \
             fail); write worker_deadline = \"auto\"",
            timespan::format(settle)
        )));
    }
    let worker = Unit::load(&unit::directories(root), WORKER).ok()?;
    let stop = timeout(&worker, &[("Service", "TimeoutStopSec"), ("Service", "TimeoutSec")])?;
    let start = timeout(&worker, &[("Service", "TimeoutStartSec"), ("Service", "TimeoutSec")])?;
    (deadline < stop + start).then(|| {
        Finding::Warning(format!(
            "{place}: warning: is {written}, TimeoutStopSec= and TimeoutStartSec= of {WORKER} are {} together (a \
             worker that drains and starts for as long as its unit lets it would fail the rollout); write \
             worker_deadline = \"auto\"",
            timespan::format(stop + start)
        ))
    })
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

/// The timeout that holds; none if it is without end, or cannot be read, which systemd passes over.
fn timeout(unit: &Unit, names: &[(&'static str, &'static str)]) -> Option<Duration> {
    let last = unit.assignments(names).rfind(|assignment| !assignment.value.is_empty());
    let Some(last) = last else { return Some(SYSTEMDS_DEFAULT) };
    timespan::parse(&last.value).ok().filter(|timeout| !timeout.is_zero())
}
