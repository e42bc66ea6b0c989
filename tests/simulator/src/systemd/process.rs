//! The life of a process: it is started, becomes ready, and ends, because it was asked to or by itself.

use rollout::unit::JobResult;

use super::job::{Job, Verb, Who};
use super::service::{Missing, Phase};
use super::{Env, Quality, Systemd};
use crate::chaos::Class;

/// What happens in a unit after some time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    Ready,
    StartFails,
    Crashes,
    Ends,
    Stalls,
    Stopped,
    Spawns,
    AutoRestarts,
    CannotStart,
}

/// `TimeoutStopSec=`, in ms.
const STOP_TIMEOUT: u64 = 4_000;
/// `WatchdogSec=`, in ms.
const WATCHDOG: u64 = 3_000;

impl Systemd {
    /// A moment has come, if it belongs to what the unit is now.
    pub(crate) fn moment(&mut self, worker: u32, epoch: u64, moment: Moment, env: &mut Env<'_>) {
        // The life of a process goes on over the change to active, which is the next epoch.
        let is_of_life = matches!(moment, Moment::Crashes | Moment::Ends | Moment::Stalls);
        let current = self.service(worker).epoch;
        if current != epoch && !(is_of_life && self.service(worker).is_active() && current == epoch + 1) {
            return;
        }
        match moment {
            Moment::Ready => {
                let service = self.service_mut(worker);
                service.missing = Missing::No;
                service.ready = env.now;
                self.change(worker, Phase::Active);
                self.end_job(worker, JobResult::Done);
            }
            Moment::StartFails | Moment::Crashes => self.fail(worker, true),
            Moment::CannotStart => self.fail(worker, false),
            Moment::Ends => self.end(worker),
            Moment::Stalls => {
                self.service_mut(worker).stalled = Some(env.now);
                self.later(worker, WATCHDOG, Moment::Crashes);
            }
            Moment::Stopped => self.stopped(worker, env),
            Moment::Spawns => self.spawn(worker, env),
            Moment::AutoRestarts => self.auto_restart(worker, env),
        }
    }

    pub(super) fn stop_process(&mut self, worker: u32, who: Who, env: &mut Env<'_>) {
        let was_active = self.service(worker).is_active();
        let service = self.service_mut(worker);
        service.missing = match (was_active, who) {
            (true, Who::Orchestrator) => Missing::Ours,
            (_, Who::Operator) => Missing::World,
            (false, Who::Orchestrator) => service.missing,
        };
        self.change(worker, Phase::Stopping);
        let is_late = env.chaos.strikes(env.rng, Class::LateStop);
        let drain = if is_late { STOP_TIMEOUT } else { env.rng.between(1, 300) };
        self.later(worker, drain, Moment::Stopped);
    }

    pub(super) fn spawn_soon(&mut self, worker: u32, env: &mut Env<'_>) {
        if let Some(job) = &mut self.service_mut(worker).job {
            job.verb = Verb::Start;
        }
        self.service_mut(worker).epoch += 1;
        let delay = env.rng.between(0, 2);
        self.later(worker, delay, Moment::Spawns);
    }

    pub(super) fn spawn(&mut self, worker: u32, env: &mut Env<'_>) {
        self.numbers += 1;
        let (number, link) = (self.numbers, self.link);
        let service = self.service_mut(worker);
        if std::mem::take(&mut service.is_flushed) {
            service.restarts = 0;
        }
        service.invocation = number;
        service.release = link;
        service.started = env.now;
        service.stalled = None;
        self.change(worker, Phase::Starting);
        let fault = self.releases[link].fault(env);
        self.service_mut(worker).errs = fault == Some(Class::Errors);
        let start = env.rng.between(5, 400);
        let Some(fault) = fault else {
            self.later(worker, start, Moment::Ready);
            return;
        };
        env.chaos.note(fault);
        let life = start + env.rng.pick(&[1, 50, 500, 3_000, 20_000]);
        let first = match fault {
            Class::NeverReady => (start, Moment::StartFails),
            Class::Hangs => (self.start_timeout, Moment::StartFails),
            Class::Unstartable => (start, Moment::CannotStart),
            _ => (start, Moment::Ready),
        };
        self.later(worker, first.0, first.1);
        match fault {
            Class::DiesAfterReady => self.later(worker, life, Moment::Crashes),
            Class::ExitsZero => self.later(worker, life, Moment::Ends),
            Class::Stalls => self.later(worker, start + env.rng.between(1, 300), Moment::Stalls),
            _ => {}
        }
    }

    /// The process failed by itself.
    fn fail(&mut self, worker: u32, comes_back: bool) {
        self.service_mut(worker).missing = Missing::World;
        if comes_back {
            self.change(worker, Phase::AutoRestart);
            let delay = self.restart_sec;
            self.later(worker, delay, Moment::AutoRestarts);
        } else {
            self.service_mut(worker).is_flushed = true;
            self.change(worker, Phase::Failed);
        }
        self.end_job(worker, JobResult::Failed);
    }

    fn end(&mut self, worker: u32) {
        let service = self.service_mut(worker);
        service.missing = Missing::World;
        service.is_flushed = true;
        self.change(worker, Phase::Inactive);
    }

    fn stopped(&mut self, worker: u32, env: &mut Env<'_>) {
        self.service_mut(worker).is_flushed = true;
        self.change(worker, Phase::Inactive);
        match self.service(worker).job {
            Some(Job { verb: Verb::Stop, .. }) => self.end_job(worker, JobResult::Done),
            Some(_) => self.spawn_soon(worker, env),
            None => {}
        }
    }

    /// The world kills a process that is active.
    pub(crate) fn crash(&mut self, worker: u32) {
        if self.service(worker).is_active() {
            self.fail(worker, true);
        }
    }

    /// The same, and it is back before anybody can look.
    pub(crate) fn crash_and_respawn(&mut self, worker: u32, is_ready: bool, env: &mut Env<'_>) {
        if !self.service(worker).is_active() {
            return;
        }
        self.fail(worker, true);
        self.auto_restart(worker, env);
        let epoch = self.service(worker).epoch;
        if is_ready && self.releases[self.link] == Quality::Good {
            self.moment(worker, epoch, Moment::Ready, env);
        }
    }

    /// A process ends with status 0 by itself.
    pub(crate) fn exit(&mut self, worker: u32) {
        if self.service(worker).is_active() {
            self.end(worker);
        }
    }
}
