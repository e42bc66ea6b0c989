//! How a process ends: by itself, because it is asked to, or because a timeout has passed.

use cluster::unit::JobResult;

use super::job::{Job, Verb, Who};
use super::process::Moment;
use super::service::{Exit, Missing, Phase};
use super::told::STOP_TIMEOUT;
use super::{Env, Systemd};
use crate::chaos::Class;

impl Systemd {
    /// The process is asked to end.
    pub(super) fn stop_process(&mut self, worker: u32, who: Who, env: &mut Env<'_>) {
        let was_active = self.service(worker).is_active();
        let service = self.service_mut(worker);
        service.missing = match (was_active, who) {
            (true, Who::Orchestrator) => Missing::Ours,
            (_, Who::Operator | Who::Systemd) => Missing::World,
            (false, Who::Orchestrator) => service.missing,
        };
        self.enter(worker, Phase::Stopping, env.now);
        if env.chaos.strikes(env.rng, Class::LateStop) {
            self.later(worker, STOP_TIMEOUT, Moment::StopsLate);
        } else {
            let drain = env.rng.ms(1, 300);
            self.later(worker, drain, Moment::Stopped);
        }
    }

    /// systemd kills the process, for a reason of its own.
    pub(super) fn kill_for(&mut self, worker: u32, why: &'static str, env: &mut Env<'_>) {
        let service = self.service_mut(worker);
        service.missing = Missing::World;
        service.killed_for = Some(why);
        self.enter(worker, Phase::Stopping, env.now);
        let delay = env.rng.ms(1, 50);
        self.later(worker, delay, Moment::Stopped);
    }

    /// The process that was asked to end is gone.
    pub(super) fn stopped(&mut self, worker: u32, is_late: bool, env: &mut Env<'_>) {
        let service = self.service_mut(worker);
        (service.pid, service.exited) = (0, env.now);
        let killed_for = service.killed_for;
        service.exit = match (killed_for, is_late) {
            (Some(why), _) => Exit { code: 3, status: 6, result: why },
            (None, true) => Exit { code: 2, status: 9, result: "timeout" },
            (None, false) => Exit::ZERO,
        };
        let is_failure = killed_for.is_some() || is_late;
        match service.job {
            Some(Job { verb: Verb::Stop, .. }) => {
                service.is_flushed = true;
                let phase = if is_failure { Phase::Failed } else { Phase::Inactive };
                self.enter(worker, phase, env.now);
                self.end_job(worker, JobResult::Done, env);
            }
            Some(Job { verb: Verb::Restart, .. }) => {
                service.is_flushed = true;
                let phase = if is_failure { Phase::Failed } else { Phase::Inactive };
                self.enter(worker, phase, env.now);
                self.spawn_soon(worker, env);
            }
            // The job is the start of a process that was never ready, or there is none.
            Some(Job { verb: Verb::Start, .. }) | None => self.fail(worker, true, env),
        }
    }

    /// The process ended by itself.
    pub(super) fn end(&mut self, worker: u32, exit: Exit, env: &mut Env<'_>) {
        let service = self.service_mut(worker);
        (service.pid, service.exited, service.exit) = (0, env.now, exit);
        service.missing = Missing::World;
        if exit == Exit::ZERO && service.is_active() {
            service.is_flushed = true;
            self.enter(worker, Phase::Inactive, env.now);
            // A job that waits has yet to run, and keeps the unit loaded.
            if self.service(worker).job.is_none() {
                self.forget_soon(worker, env.rng);
            }
            return;
        }
        if exit == Exit::ZERO {
            self.service_mut(worker).exit.result = "protocol";
        }
        self.fail(worker, exit != Exit::UNSTARTABLE, env);
    }

    fn fail(&mut self, worker: u32, comes_back: bool, env: &mut Env<'_>) {
        // This ends a start job. systemd signals its end while the unit is failed.
        self.enter(worker, Phase::Failed, env.now);
        let is_start = self.service(worker).job.is_some_and(|job| job.verb == Verb::Start);
        if is_start {
            self.end_job(worker, JobResult::Failed, env);
        }
        if comes_back {
            self.enter(worker, Phase::AutoRestart, env.now);
            let delay = self.manner.restart_sec;
            self.later(worker, delay, Moment::AutoRestarts);
        } else {
            self.service_mut(worker).is_flushed = true;
        }
    }
}
