//! The job engine, as in `job_install()` and `service.c`. A restart replaces a stop, and a stop replaces a
//! restart. A restart merges with a start or restart that is there, and its second half becomes a start job.

use cluster::unit::JobResult;

use super::process::Moment;
use super::service::{Missing, Phase};
use super::{Done, Env, Systemd};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Orchestrator,
    Operator,
    Systemd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Restart,
    Stop,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) id: u32,
    pub(crate) verb: Verb,
    pub(crate) who: Who,
}

impl Systemd {
    /// Enqueues a job in mode replace. Returns its id, or none if the unit is masked.
    pub(crate) fn enqueue(&mut self, worker: u32, verb: Verb, who: Who, env: &mut Env<'_>) -> Option<u32> {
        if self.is_masked && verb != Verb::Stop {
            return None;
        }
        if who == Who::Operator && self.service(worker).missing == Missing::Ours {
            self.service_mut(worker).missing = Missing::World;
        }
        let old = self.service(worker).job;
        let conflicts = old.is_some_and(|old| (old.verb == Verb::Stop) != (verb == Verb::Stop));
        if conflicts {
            self.end_job(worker, JobResult::Canceled, env);
        }
        let (id, merged) = match old.filter(|_| !conflicts) {
            Some(old) if old.verb == Verb::Restart => (old.id, Verb::Restart),
            Some(old) => (old.id, verb),
            None => (self.next_job(), verb),
        };
        let is_same = !conflicts && old.is_some_and(|old| old.verb == merged);
        self.service_mut(worker).job = Some(Job { id, verb: merged, who });
        self.touch(worker);
        if !is_same {
            // The job runs in the next round, after the answer.
            let epoch = self.service(worker).epoch;
            self.moments.push((env.rng.between(0, 300), worker, epoch, Moment::Runs(id)));
        }
        Some(id)
    }

    fn next_job(&mut self) -> u32 {
        self.jobs += 1;
        self.jobs
    }

    /// A job begins.
    pub(super) fn run(&mut self, worker: u32, id: u32, env: &mut Env<'_>) {
        let Some(job) = self.service(worker).job.filter(|job| job.id == id) else { return };
        let (verb, who) = (job.verb, job.who);
        if verb != Verb::Start && self.service(worker).has_process() {
            self.stop_process(worker, who, env);
            return;
        }
        let service = self.service_mut(worker);
        match (verb, service.phase) {
            (Verb::Start, Phase::Active) => self.end_job(worker, JobResult::Done, env),
            (Verb::Start | Verb::Restart, Phase::Inactive | Phase::Failed) => self.spawn_soon(worker, env),
            (Verb::Start, Phase::AutoRestart) if self.manner.hurries => self.spawn_soon(worker, env),
            // The restart count stays as it is. A start resets it only if the service is dead and waits for
            // no restart.
            (Verb::Restart, Phase::AutoRestart) => {
                self.enter(worker, Phase::Inactive, env.now);
                self.spawn_soon(worker, env);
            }
            (Verb::Stop, Phase::AutoRestart) => {
                self.service_mut(worker).is_flushed = true;
                self.enter(worker, Phase::Inactive, env.now);
                self.end_job(worker, JobResult::Done, env);
            }
            (Verb::Stop, Phase::Inactive | Phase::Failed) => {
                // A process that was about to start does not start any more.
                self.service_mut(worker).epoch += 1;
                self.end_job(worker, JobResult::Done, env);
            }
            // What is under way ends first.
            _ => {}
        }
    }

    pub(super) fn end_job(&mut self, worker: u32, result: JobResult, env: &mut Env<'_>) {
        let Some(job) = self.service(worker).job else { return };
        let is_done = result == JobResult::Done;
        // The unit still has the job when its change is signalled.
        self.tell_removed(worker, job.id, result);
        self.service_mut(worker).job = None;
        self.touch(worker);
        if is_done {
            self.note_last_job(worker, job);
        }
        if is_done && job.verb == Verb::Stop && job.who == Who::Operator {
            self.done.push(Done::Stopped(worker));
        }
        if self.service(worker).phase == Phase::Inactive {
            self.forget_soon(worker, env.rng);
        }
    }

    /// The journal says what the last job was, even if the unit is forgotten.
    fn note_last_job(&mut self, worker: u32, job: Job) {
        match job.verb {
            Verb::Stop => self.stopped.insert(worker, job.who),
            Verb::Start | Verb::Restart => self.stopped.remove(&worker),
        };
    }

    /// systemd's own restart is a job like any other.
    pub(super) fn auto_restart(&mut self, worker: u32, env: &mut Env<'_>) {
        match self.service(worker).job {
            Some(Job { verb: Verb::Stop, .. }) => return,
            Some(_) => {}
            None if self.is_masked => {
                self.service_mut(worker).exit.result = "resources";
                self.service_mut(worker).is_flushed = true;
                self.enter(worker, Phase::Failed, env.now);
                return;
            }
            None => {
                let id = self.next_job();
                self.service_mut(worker).job = Some(Job { id, verb: Verb::Restart, who: Who::Systemd });
            }
        }
        let service = self.service_mut(worker);
        service.restarts += 1;
        service.is_flushed = false;
        self.enter(worker, Phase::Inactive, env.now);
        self.spawn_soon(worker, env);
    }
}
