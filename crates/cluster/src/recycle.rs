//! Workers that ask to be replaced, because they have reached a limit on requests, age or memory.
//!
//! They go on serving meanwhile, so there is no hurry. A rollout that an operator wants comes first. A worker
//! that is missing comes back first. After a try that failed, the next one has to wait.

use std::time::Duration;

use crate::moment::Moment;
use crate::plan::Candidate;
use crate::unit::Instance;

/// The workers to replace now: those that ask for it, serve, and belong to the wanted number. There are none
/// unless every other wanted worker serves, too, or was stopped by an operator. Otherwise more than one would
/// be missing at once.
pub fn due(desired: u32, workers: &[Candidate], asks: impl Fn(Instance) -> bool) -> Vec<Instance> {
    let wanted = || workers.iter().filter(|worker| worker.instance.number() <= desired);
    let serves = |worker: &Candidate| worker.unit.is_active() && !worker.unit.has_job;
    if !wanted().all(|worker| serves(worker) || worker.is_held) {
        return Vec::new();
    }
    let due = wanted().filter(|worker| serves(worker) && asks(worker.instance));
    due.map(|worker| worker.instance).collect()
}

/// The outcome of the last tries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recycling {
    /// How many tries in a row failed.
    failures: u32,
    /// The next try does not begin before this.
    not_before: Option<Moment>,
}

impl Recycling {
    /// Whether a try may begin now.
    pub fn may_try(&self, now: Moment) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// When the next try may begin. None if it may at once.
    pub fn next_try(&self) -> Option<Moment> {
        self.not_before
    }

    /// A try failed. Returns how long the next one has to wait.
    pub fn failed(&mut self, now: Moment) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let pause = pause(self.failures);
        self.not_before = Some(now.saturating_add(pause));
        pause
    }
}

/// How long to wait after this many failed tries in a row: a minute, then each time twice as long, up to an
/// hour.
fn pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    FIRST.saturating_mul(doubled).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::{ActiveState, Unit};

    fn worker(number: u32, active: ActiveState, is_held: bool) -> Candidate {
        let unit = Unit { active, ..Unit::INACTIVE };
        Candidate { instance: Instance::new(number).unwrap(), unit, is_held }
    }

    fn numbers(workers: &[Candidate]) -> Vec<u32> {
        due(3, workers, |instance| instance.number() >= 2).into_iter().map(Instance::number).collect()
    }

    #[test]
    fn who_asks_is_replaced_if_it_is_wanted_and_serves() {
        let mut workers = [
            worker(1, ActiveState::Active, false),
            worker(2, ActiveState::Active, false),
            worker(3, ActiveState::Inactive, true),
            worker(4, ActiveState::Active, false),
        ];
        assert_eq!(numbers(&workers), [2]);
        workers[2].unit.active = ActiveState::Active;
        assert_eq!(numbers(&workers), [2, 3]);
    }

    #[test]
    fn nobody_is_replaced_while_one_is_missing() {
        for missing in [ActiveState::Inactive, ActiveState::Activating, ActiveState::Failed] {
            let workers = [worker(1, missing, false), worker(2, ActiveState::Active, false)];
            assert_eq!(numbers(&workers), [0; 0], "{missing}");
        }
        let mut workers = [worker(1, ActiveState::Active, false), worker(2, ActiveState::Active, false)];
        workers[0].unit.has_job = true;
        assert_eq!(numbers(&workers), [0; 0]);
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        let minutes = [1, 2, 3, 6, 7, u32::MAX].map(|failures| pause(failures).as_secs() / 60);
        assert_eq!(minutes, [1, 2, 4, 32, 60, 60]);
    }
}
