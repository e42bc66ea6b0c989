//! systemd, as far as the orchestrator sees it: units, jobs, processes, signals.
//!
//! - `service`: the state of one worker's unit.
//! - `job`: the jobs of operators, of the orchestrator and of systemd itself.
//! - `process`: a process from its start until it is ready. `end`: how it ends.
//! - `told`: what systemd says of a unit.

mod end;
mod job;
mod process;
mod service;
mod told;

use std::collections::BTreeMap;

use cluster::input::Signal;
use names::Instance;

pub(crate) use self::job::{Job, Verb, Who};
pub(crate) use self::process::Moment;
pub(crate) use self::service::{Exit, Missing, Phase, Service};
pub(crate) use self::told::invocation;
use crate::chaos::Chaos;
use crate::disk::Disk;
use crate::rng::Rng;

/// How many workers there may be, extra ones included.
pub(crate) const SIZE: u32 = 10;
/// A unit that has the name of a worker but is none.
pub(crate) const STRANGER: u32 = 12;

/// What a job has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// The worker was stopped.
    Stopped(u32),
    /// A process was started, by any client or by systemd.
    Started(u32),
}

/// How the units are configured, and how this version of systemd behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// `RestartSec=`, in us.
    pub(crate) restart_sec: u64,
    /// `TimeoutStartSec=`, in us.
    pub(crate) start_timeout: u64,
    /// If a unit waits for its restart, a start job starts it at once (systemd 257).
    pub(crate) hurries: bool,
    /// systemd forgets an inactive unit, with all that was known of it.
    pub(crate) forgets: bool,
}

/// systemd.
#[derive(Debug)]
pub(crate) struct Systemd {
    /// worker@1 is the first.
    services: Vec<Service>,
    pub(crate) manner: Manner,
    /// When the machine was booted, which is the origin of CLOCK_MONOTONIC.
    pub(crate) booted: u64,
    pub(crate) is_masked: bool,
    /// Whether there is a unit that has the name of a worker but is none.
    pub(crate) has_stranger: bool,
    /// Whether a client hears the signals.
    pub(crate) is_heard: bool,
    jobs: u32,
    invocations: u64,
    pids: u32,
    /// What is to happen later: after how many us, to which worker, in which epoch.
    pub(crate) moments: Vec<(u64, u32, u32, Moment)>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) done: Vec<Done>,
    /// The workers whose last job was a stop, according to the journal, and whose it was, for the laws.
    stopped: BTreeMap<u32, Who>,
}

/// What systemd needs from the world.
pub(crate) struct Env<'a> {
    pub(crate) now: u64,
    pub(crate) rng: &'a mut Rng,
    pub(crate) chaos: &'a mut Chaos,
    pub(crate) disk: &'a Disk,
}

impl Systemd {
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            services: (0..STRANGER).map(|_| Service::default()).collect(),
            manner,
            booted: 0,
            is_masked: false,
            has_stranger: false,
            is_heard: false,
            jobs: 0,
            invocations: 0,
            pids: 100,
            moments: Vec::new(),
            signals: Vec::new(),
            done: Vec::new(),
            stopped: BTreeMap::new(),
        }
    }

    pub(crate) fn service(&self, worker: u32) -> &Service {
        &self.services[worker as usize - 1]
    }

    pub(crate) fn service_mut(&mut self, worker: u32) -> &mut Service {
        &mut self.services[worker as usize - 1]
    }

    /// Every worker's unit, with its number.
    pub(crate) fn services(&self) -> impl Iterator<Item = (u32, &Service)> {
        (1..=SIZE).zip(&self.services)
    }

    /// Whether the last job of this worker was a stop, according to the journal.
    pub(crate) fn was_stopped(&self, worker: u32) -> bool {
        self.stopped.contains_key(&worker)
    }

    /// The units that are loaded.
    pub(crate) fn loaded(&self) -> Vec<Instance> {
        let all = (1..=STRANGER).zip(&self.services);
        let loaded = all.filter(|(_, service)| service.phase != Phase::Inactive || service.job.is_some());
        loaded.filter_map(|(number, _)| Instance::new(number)).collect()
    }

    /// The workers that systemd is stopping for the orchestrator, or that it has stopped for it last.
    pub(crate) fn stopped_for_orchestrator(&self) -> impl Iterator<Item = Instance> {
        let is_its = |(worker, service): &(u32, &Service)| match service.job {
            Some(job) => job.verb == Verb::Stop && job.who == Who::Orchestrator,
            None => self.stopped.get(worker) == Some(&Who::Orchestrator) && service.is_at_rest(),
        };
        self.services().filter(is_its).filter_map(|(number, _)| Instance::new(number))
    }

    /// The machine boots. Nothing runs, and nothing is known.
    pub(crate) fn boot(&mut self, now: u64) {
        self.booted = now - 5_000_000;
        self.is_masked = false;
        for service in &mut self.services {
            *service = Service { epoch: service.epoch + 1, ..Service::default() };
        }
        self.signals.clear();
        self.moments.clear();
    }

    fn later(&mut self, worker: u32, delay: u64, moment: Moment) {
        let epoch = self.service(worker).epoch;
        self.moments.push((delay, worker, epoch, moment));
    }

    /// The unit enters another phase. What was to happen in the phase before does not.
    fn enter(&mut self, worker: u32, phase: Phase, now: u64) {
        let service = self.service_mut(worker);
        if service.phase == Phase::Active && phase != Phase::Active {
            service.inactive = now;
        }
        service.phase = phase;
        service.epoch += 1;
        self.touch(worker);
    }
}
