//! The job engine, that of `job_install()` and `service.c`: a restart takes the place of a stop and the other way
//! round, a restart merges with a start or restart that is there, and its start half becomes a start job.

use rollout::unit::JobResult;

use super::service::{Missing, Phase};
use super::{Env, Signal, Systemd};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Orchestrator,
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Restart,
    Stop,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) verb: Verb,
    pub(super) who: Option<Who>,
}

impl Systemd {
    /// Enqueues a job in mode replace; returns its id.
    pub(crate) fn enqueue(&mut self, worker: u32, verb: Verb, who: Who, env: &mut Env<'_>) -> u64 {
        let old = self.service(worker).job;
        let conflicts = old.is_some_and(|old| (old.verb == Verb::Stop) != (verb == Verb::Stop));
        if conflicts {
            self.end_job(worker, JobResult::Canceled);
        }
        self.numbers += 1;
        let id = match old {
            Some(old) if !conflicts => old.id,
            _ => self.numbers,
        };
        let merged = match old {
            Some(old) if !conflicts && old.verb == Verb::Restart => Verb::Restart,
            _ => verb,
        };
        self.service_mut(worker).job = Some(Job { id, verb: merged, who: Some(who) });
        if !(old.is_some() && !conflicts && merged == old.map_or(verb, |old| old.verb)) {
            self.run(worker, merged, who, env);
        }
        id
    }

    /// Enqueues a job that is canceled before it has done anything.
    pub(crate) fn enqueue_and_cancel(&mut self, worker: u32) -> u64 {
        self.numbers += 1;
        let id = self.numbers;
        let (result, was_operators_stop) = (JobResult::Canceled, false);
        self.signals.push(Signal::JobRemoved { id, worker, result, was_operators_stop });
        id
    }

    fn run(&mut self, worker: u32, verb: Verb, who: Who, env: &mut Env<'_>) {
        let phase = self.service(worker).phase;
        if verb != Verb::Start && self.service(worker).has_process() {
            self.stop_process(worker, who, env);
            return;
        }
        if who == Who::Operator && self.service(worker).missing == Missing::Ours {
            self.service_mut(worker).missing = Missing::World;
        }
        match (verb, phase) {
            (Verb::Start, Phase::Active) => self.end_job(worker, JobResult::Done),
            (Verb::Start | Verb::Restart, Phase::Inactive | Phase::Failed) => self.spawn_soon(worker, env),
            // The count stays as it is: only a service that is dead without a restart to come sets it back.
            (Verb::Restart, Phase::AutoRestart) => {
                self.change(worker, Phase::Inactive);
                self.spawn_soon(worker, env);
            }
            (Verb::Stop, Phase::AutoRestart) => {
                self.change(worker, Phase::Inactive);
                self.end_job(worker, JobResult::Done);
            }
            (Verb::Stop, Phase::Inactive | Phase::Failed) => {
                // A process that was about to be started is not any more.
                self.service_mut(worker).epoch += 1;
                self.end_job(worker, JobResult::Done);
            }
            // What is under way comes to its end first.
            _ => {}
        }
    }

    pub(super) fn end_job(&mut self, worker: u32, result: JobResult) {
        if let Some(job) = self.service_mut(worker).job.take() {
            self.removed(worker, job, result);
        }
    }

    fn removed(&mut self, worker: u32, job: Job, result: JobResult) {
        let was_operators_stop =
            job.verb == Verb::Stop && job.who == Some(Who::Operator) && result == JobResult::Done;
        self.signals.push(Signal::JobRemoved { id: job.id, worker, result, was_operators_stop });
    }

    /// systemd's own restart, which is a job like any other.
    pub(super) fn auto_restart(&mut self, worker: u32, env: &mut Env<'_>) {
        self.numbers += 1;
        let id = self.numbers;
        let service = self.service_mut(worker);
        service.restarts += 1;
        service.job.get_or_insert(Job { id, verb: Verb::Start, who: None });
        self.spawn(worker, env);
    }
}
