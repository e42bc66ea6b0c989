//! A process starts, and becomes ready or not.

use cluster::unit::JobResult;

use super::job::Verb;
use super::service::{Exit, Missing, Phase};
use super::{Done, Env, Systemd};
use crate::chaos::Class;
use crate::release::STAYS;

/// What happens in a unit after some time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    Tell,
    /// The job of this id begins.
    Runs(u32),
    Spawns,
    Ready,
    /// The process ends by itself.
    Ends(Exit),
    Stalls,
    /// A timeout has passed, for this reason.
    Killed(&'static str),
    /// The process that was asked to end is gone.
    Stopped,
    /// The process still runs after `TimeoutStopSec=`.
    StopsLate,
    AutoRestarts,
    Forgotten,
}

/// `WatchdogSec=`, in us.
pub(super) const WATCHDOG: u64 = 3_000_000;
/// How often a worker feeds its watchdog, in us.
pub(super) const FEED: u64 = 100_000;

impl Systemd {
    /// A moment has come. It counts only if it belongs to the unit's present state.
    pub(crate) fn moment(&mut self, worker: u32, epoch: u32, moment: Moment, env: &mut Env<'_>) {
        if let Moment::Tell = moment {
            return self.tell(worker);
        }
        // A process lives on when it becomes active, which is the next epoch. A job waits.
        let is_of_life = matches!(moment, Moment::Ends(_) | Moment::Stalls);
        let current = self.service(worker).epoch;
        let goes_on = is_of_life && self.service(worker).is_active() && current == epoch + 1;
        if current != epoch && !goes_on && !matches!(moment, Moment::Runs(_)) {
            return;
        }
        match moment {
            Moment::Tell => {}
            Moment::Runs(id) => self.run(worker, id, env),
            Moment::Spawns => self.spawn(worker, env),
            Moment::Ready => self.ready(worker, env),
            Moment::Ends(exit) => self.end(worker, exit, env),
            Moment::Stalls => {
                self.service_mut(worker).stalled = Some(env.now);
                self.later(worker, WATCHDOG, Moment::Killed("watchdog"));
            }
            Moment::Killed(why) => self.kill_for(worker, why, env),
            Moment::Stopped => self.stopped(worker, false, env),
            Moment::StopsLate => self.stopped(worker, true, env),
            Moment::AutoRestarts => self.auto_restart(worker, env),
            Moment::Forgotten => {
                let service = self.service(worker);
                if service.phase == Phase::Inactive && service.job.is_none() {
                    self.forget(worker);
                }
            }
        }
    }

    pub(super) fn spawn_soon(&mut self, worker: u32, env: &mut Env<'_>) {
        if let Some(job) = &mut self.service_mut(worker).job {
            job.verb = Verb::Start;
        }
        self.service_mut(worker).epoch += 1;
        self.touch(worker);
        let delay = env.rng.between(0, 2_000);
        self.later(worker, delay, Moment::Spawns);
    }

    fn spawn(&mut self, worker: u32, env: &mut Env<'_>) {
        self.invocations += 1;
        self.pids += 1;
        let (invocation, pid) = (self.invocations, self.pids);
        let release = env.disk.executed_by(worker);
        let service = self.service_mut(worker);
        if std::mem::take(&mut service.is_flushed) {
            service.restarts = 0;
        }
        service.invocation = invocation;
        service.pid = pid;
        service.release = release;
        service.started = env.now;
        service.stalled = None;
        service.killed_for = None;
        service.exit = Exit::NONE;
        service.asks = false;
        self.enter(worker, Phase::Starting, env.now);
        self.done.push(Done::Started(worker));
        let Some(release) = release else {
            return self.later(worker, 100_000, Moment::Ends(Exit::NO_PROGRAM));
        };
        let fault = env.disk.releases[release].quality.fault(env.rng, env.chaos);
        self.service_mut(worker).errs = fault == Some(Class::Errors);
        self.service_mut(worker).is_deaf = fault == Some(Class::AcceptsNothing);
        self.live(worker, fault, env);
    }

    /// Plans the life of a process with this fault.
    fn live(&mut self, worker: u32, fault: Option<Class>, env: &mut Env<'_>) {
        let start = env.rng.ms(5, 400);
        if let Some(fault) = fault {
            env.chaos.note(fault);
        }
        let (delay, moment) = match fault {
            Some(Class::NeverReady) => (start, Moment::Ends(Exit::FAILED)),
            Some(Class::Unstartable) => (start, Moment::Ends(Exit::UNSTARTABLE)),
            Some(Class::Hangs) => (self.manner.start_timeout, Moment::Killed("timeout")),
            _ => (start, Moment::Ready),
        };
        self.later(worker, delay, moment);
        let life = start + env.rng.pick(&[1_000, 50_000, 500_000, 3_000_000, 20_000_000]);
        match fault {
            Some(Class::DiesAfterReady) => self.later(worker, life, Moment::Ends(Exit::CRASH)),
            Some(Class::DiesLater) => self.later(worker, start + STAYS, Moment::Ends(Exit::CRASH)),
            Some(Class::ExitsZero) => self.later(worker, life, Moment::Ends(Exit::ZERO)),
            Some(Class::Stalls) => {
                let delay = start + env.rng.ms(1, 300);
                self.later(worker, delay, Moment::Stalls);
            }
            _ => {}
        }
    }

    fn ready(&mut self, worker: u32, env: &mut Env<'_>) {
        let service = self.service_mut(worker);
        service.missing = Missing::No;
        service.active = env.now;
        self.enter(worker, Phase::Active, env.now);
        // A restart that came meanwhile has yet to begin.
        if self.service(worker).job.is_some_and(|job| job.verb == Verb::Start) {
            self.end_job(worker, JobResult::Done, env);
        }
    }

    /// A unit that is no worker runs, or a worker ran when the world began.
    pub(crate) fn begin_active(&mut self, worker: u32, release: Option<usize>, now: u64) {
        self.invocations += 1;
        self.pids += 1;
        let (invocation, pid) = (self.invocations, self.pids);
        let service = self.service_mut(worker);
        service.phase = Phase::Active;
        (service.invocation, service.pid, service.release) = (invocation, pid, release);
        (service.started, service.active) = (now - 2_000_000, now - 1_000_000);
        service.missing = Missing::No;
        self.touch(worker);
    }

    /// A unit is gone.
    pub(crate) fn vanish(&mut self, worker: u32) {
        let service = self.service_mut(worker);
        (service.pid, service.job) = (0, None);
        self.enter(worker, Phase::Inactive, 0);
    }

    /// A worker asks to be replaced.
    pub(crate) fn ask(&mut self, worker: u32) {
        if self.service(worker).is_active() {
            self.service_mut(worker).asks = true;
            self.touch(worker);
        }
    }

    /// The world kills a process.
    pub(crate) fn crash(&mut self, worker: u32, exit: Exit, env: &mut Env<'_>) {
        if self.service(worker).has_process() {
            self.end(worker, exit, env);
        }
    }
}
