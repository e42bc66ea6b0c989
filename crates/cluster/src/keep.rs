//! Keeping the wanted workers running between rollouts.
//!
//! systemd restarts a worker that fails. The orchestrator does the rest. It starts a worker that exited with
//! status 0 by itself, because `Restart=on-failure` leaves that one stopped. It also starts and stops workers
//! until their number is the wanted one.

use crate::plan::Candidate;
use crate::unit::{ActiveState, Instance};

/// What the keeper asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Start a worker that should run and does not.
    Start(Instance),
    /// Stop a worker beyond the wanted number that is not needed.
    Stop(Instance),
}

/// What to change so that exactly the instances 1 to `desired` run.
///
/// This leaves three kinds of workers alone: those that an operator stopped, those that already have a job,
/// and those that failed. systemd has decided about those (`RestartPreventExitStatus=`), and only a reload or
/// an operator changes that.
///
/// An orchestrator that died in a rollout leaves an extra worker. That one carries the load of a wanted
/// worker that the rollout had stopped, so stopping it first would cost capacity. Therefore one ready surplus
/// worker stays for each wanted worker that is not ready, lowest number first. A worker that an operator
/// stopped does not count. A surplus worker that is not ready carries no load.
pub fn corrections(desired: u32, workers: &[Candidate]) -> Vec<Correction> {
    let is_surplus = |worker: &Candidate| worker.instance.number() > desired;
    let is_missing = |worker: &&Candidate| !is_surplus(worker) && !worker.is_held && !worker.unit.is_active();
    let missing = workers.iter().filter(is_missing).count();
    let mut stand_ins: Vec<_> =
        workers.iter().filter(|w| is_surplus(w) && w.unit.is_active()).map(|w| w.instance).collect();
    stand_ins.sort_unstable();
    stand_ins.truncate(missing);

    let correct = |worker: &Candidate| match worker.unit.active {
        ActiveState::Inactive if !is_surplus(worker) && !worker.is_held && !worker.unit.has_job => {
            Some(Correction::Start(worker.instance))
        }
        ActiveState::Active | ActiveState::Activating
            if is_surplus(worker) && !stand_ins.contains(&worker.instance) =>
        {
            Some(Correction::Stop(worker.instance))
        }
        _ => None,
    };
    workers.iter().filter_map(correct).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Unit;

    fn worker(number: u32, active: ActiveState, is_held: bool, has_job: bool) -> Candidate {
        let unit = Unit { active, has_job, ..Unit::INACTIVE };
        Candidate { instance: Instance::new(number).unwrap(), unit, is_held }
    }

    fn instance(number: u32) -> Instance {
        Instance::new(number).unwrap()
    }

    #[test]
    fn starts_what_ended_and_nothing_else() {
        let workers = [
            worker(1, ActiveState::Inactive, false, false),
            worker(2, ActiveState::Inactive, true, false),
            worker(3, ActiveState::Inactive, false, true),
            worker(4, ActiveState::Failed, false, false),
            worker(5, ActiveState::Active, false, false),
            worker(6, ActiveState::Inactive, false, false),
        ];
        assert_eq!(corrections(5, &workers), [Correction::Start(instance(1))]);
    }

    #[test]
    fn stops_the_surplus_when_the_wanted_ones_are_ready() {
        let workers = [
            worker(1, ActiveState::Active, false, false),
            worker(2, ActiveState::Inactive, true, false),
            worker(3, ActiveState::Active, false, false),
            worker(4, ActiveState::Activating, false, false),
            worker(5, ActiveState::Deactivating, false, true),
        ];
        assert_eq!(corrections(2, &workers), [Correction::Stop(instance(3)), Correction::Stop(instance(4))]);
    }

    #[test]
    fn surplus_stands_in_for_wanted_workers_that_are_not_ready() {
        for missing in [
            ActiveState::Activating,
            ActiveState::Deactivating,
            ActiveState::Inactive,
            ActiveState::Failed,
            ActiveState::Other,
        ] {
            let workers = [
                worker(6, ActiveState::Active, false, false),
                worker(5, ActiveState::Active, false, false),
                worker(4, ActiveState::Activating, false, false),
                worker(3, ActiveState::Active, false, false),
                worker(2, missing, false, true),
                worker(1, missing, false, true),
            ];
            let stops = [Correction::Stop(instance(6)), Correction::Stop(instance(4))];
            assert_eq!(corrections(2, &workers), stops, "{missing}");
        }
    }
}
