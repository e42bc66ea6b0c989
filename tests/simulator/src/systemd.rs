//! systemd, as far as a rollout sees it: units, jobs, processes, signals.
//!
//! The job engine is that of `job_install()` and `service.c`: a restart takes the place of a stop and the other
//! way round, a restart merges with a start or restart that is there, and its start half becomes a start job.

use std::time::Duration;

use rollout::unit::{ActiveState, InvocationId, JobResult, Unit};

use crate::chaos::{Chaos, Class};
use crate::rng::Rng;

/// How a release behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    Bad(Class),
    /// Each process is one of the bad kind at this rate in 1000.
    Flaky(u32),
}

/// Whose doing it is that a worker is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    No,
    /// The orchestrator had it stopped or restarted, and what it asked for goes on.
    Ours,
    /// It crashed, ended, did not start, was stopped by a person, or never ran.
    World,
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Inactive,
    Failed,
    Starting,
    Active,
    Stopping,
    AutoRestart,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    id: u64,
    verb: Verb,
    who: Option<Who>,
}

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

/// What systemd tells its subscribers.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    PropertiesChanged(u32),
    JobRemoved { id: u64, worker: u32, result: JobResult, was_operators_stop: bool },
}

/// One worker.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    phase: Phase,
    job: Option<Job>,
    invocation: u64,
    restarts: u32,
    /// A count that the next start sets back.
    is_flushed: bool,
    pub(crate) epoch: u64,
    /// What the process executes, or the last one did.
    pub(crate) release: usize,
    /// When the process was started.
    pub(crate) started: u64,
    ready: u64,
    stalled: Option<u64>,
    pub(crate) missing: Missing,
}

impl Service {
    fn new() -> Self {
        Self {
            phase: Phase::Inactive,
            job: None,
            invocation: 0,
            restarts: 0,
            is_flushed: false,
            epoch: 0,
            release: 0,
            started: 0,
            ready: 0,
            stalled: None,
            missing: Missing::World,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    pub(crate) fn is_inactive(&self) -> bool {
        self.phase == Phase::Inactive && self.job.is_none()
    }

    /// Whether there is a process that goes on to run.
    pub(crate) fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Active)
    }

    pub(crate) fn invocation(&self) -> u64 {
        self.invocation
    }

    pub(crate) fn has_been_ready_for(&self, time: Duration, now: u64) -> bool {
        self.is_active() && Duration::from_millis(now - self.ready) >= time
    }

    fn active_state(&self) -> ActiveState {
        match self.phase {
            Phase::Inactive => ActiveState::Inactive,
            Phase::Failed => ActiveState::Failed,
            Phase::Starting | Phase::AutoRestart => ActiveState::Activating,
            Phase::Active => ActiveState::Active,
            Phase::Stopping => ActiveState::Deactivating,
        }
    }
}

/// The manager.
#[derive(Debug)]
pub(crate) struct Systemd {
    /// worker@1 is the first.
    pub(crate) services: Vec<Service>,
    pub(crate) releases: Vec<Quality>,
    /// The release that a process started now executes.
    pub(crate) link: usize,
    /// `RestartSec=`, in ms.
    restart_sec: u64,
    start_timeout: u64,
    numbers: u64,
    /// What is to happen later: in ms, to which worker, in which epoch.
    pub(crate) moments: Vec<(u64, u32, u64, Moment)>,
    pub(crate) signals: Vec<Signal>,
}

/// `TimeoutStartSec=`, in ms: as it is shipped, in small, and infinity.
const START_TIMEOUTS: [u64; 3] = [6_000, 6_000, u64::MAX / 2];
/// `TimeoutStopSec=`, in ms.
const STOP_TIMEOUT: u64 = 4_000;
/// `WatchdogSec=`, in ms.
const WATCHDOG: u64 = 3_000;
/// How often a worker feeds its watchdog, in ms.
const FEED: u64 = 100;

impl Systemd {
    /// All `running` workers are active, on the first release.
    pub(crate) fn new(rng: &mut Rng, size: usize, running: u32, first: Quality) -> Self {
        let mut systemd = Self {
            services: vec![Service::new(); size],
            releases: vec![first],
            link: 0,
            restart_sec: rng.pick(&[20, 200, 1000]),
            start_timeout: rng.pick(&START_TIMEOUTS),
            numbers: 0,
            moments: Vec::new(),
            signals: Vec::new(),
        };
        for worker in 1..=running {
            systemd.numbers += 1;
            let number = systemd.numbers;
            let service = systemd.service_mut(worker);
            service.phase = Phase::Active;
            service.invocation = number;
            service.missing = Missing::No;
        }
        systemd
    }

    pub(crate) fn service(&self, worker: u32) -> &Service {
        &self.services[worker as usize - 1]
    }

    fn service_mut(&mut self, worker: u32) -> &mut Service {
        &mut self.services[worker as usize - 1]
    }

    /// What a client reads.
    pub(crate) fn unit(&self, worker: u32, now: u64) -> Unit {
        let service = self.service(worker);
        let fed = service.stalled.unwrap_or(now).saturating_sub(service.ready) / FEED * FEED;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&service.invocation.to_le_bytes());
        Unit {
            active: service.active_state(),
            invocation: InvocationId::from_bytes(&id),
            restarts: service.restarts,
            has_job: service.job.is_some(),
            fed_after: service.is_active().then(|| Duration::from_millis(fed)),
        }
    }

    fn later(&mut self, worker: u32, delay: u64, moment: Moment) {
        let epoch = self.service(worker).epoch;
        self.moments.push((delay, worker, epoch, moment));
    }

    fn change(&mut self, worker: u32, phase: Phase) {
        let service = self.service_mut(worker);
        service.phase = phase;
        service.epoch += 1;
        self.signals.push(Signal::PropertiesChanged(worker));
    }

    fn end_job(&mut self, worker: u32, result: JobResult) {
        if let Some(job) = self.service_mut(worker).job.take() {
            self.removed(worker, job, result);
        }
    }

    fn removed(&mut self, worker: u32, job: Job, result: JobResult) {
        let was_operators_stop =
            job.verb == Verb::Stop && job.who == Some(Who::Operator) && result == JobResult::Done;
        self.signals.push(Signal::JobRemoved { id: job.id, worker, result, was_operators_stop });
    }

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

    fn stop_process(&mut self, worker: u32, who: Who, env: &mut Env<'_>) {
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

    fn spawn_soon(&mut self, worker: u32, env: &mut Env<'_>) {
        if let Some(job) = &mut self.service_mut(worker).job {
            job.verb = Verb::Start;
        }
        self.service_mut(worker).epoch += 1;
        let delay = env.rng.between(0, 2);
        self.later(worker, delay, Moment::Spawns);
    }

    fn spawn(&mut self, worker: u32, env: &mut Env<'_>) {
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
        let fault = match self.releases[link] {
            Quality::Good => None,
            Quality::Bad(class) => Some(class),
            Quality::Flaky(rate) if !env.chaos.is_quiet && env.rng.per_mille(rate) => {
                env.chaos.note(Class::Flaky);
                Some(env.rng.pick(&BAD))
            }
            Quality::Flaky(_) => None,
        };
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

    /// systemd's own restart, which is a job like any other.
    fn auto_restart(&mut self, worker: u32, env: &mut Env<'_>) {
        self.numbers += 1;
        let id = self.numbers;
        let service = self.service_mut(worker);
        service.restarts += 1;
        service.job.get_or_insert(Job { id, verb: Verb::Start, who: None });
        self.spawn(worker, env);
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

/// What systemd needs from the world.
pub(crate) struct Env<'a> {
    pub(crate) now: u64,
    pub(crate) rng: &'a mut Rng,
    pub(crate) chaos: &'a mut Chaos,
}

/// The ways in which a release is bad.
pub(crate) const BAD: [Class; 6] = [
    Class::NeverReady,
    Class::Hangs,
    Class::DiesAfterReady,
    Class::ExitsZero,
    Class::Stalls,
    Class::Unstartable,
];
