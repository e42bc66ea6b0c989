//! systemd, as far as a rollout sees it: units, jobs, processes, signals.
//!
//! - `service`: one worker, as it is now.
//! - `job`: what is asked of it, by people, by the orchestrator and by systemd itself.
//! - `process`: what becomes of its process, with and without being asked.
//! - `release`: what a process executes, and how that behaves.

mod job;
mod process;
mod release;
mod service;

use std::time::Duration;

use rollout::unit::{InvocationId, JobResult, Unit};

pub(crate) use self::job::{Verb, Who};
pub(crate) use self::process::Moment;
pub(crate) use self::release::{BAD, Quality};
use self::service::Phase;
pub(crate) use self::service::{Missing, Service};
use crate::chaos::Chaos;
use crate::rng::Rng;

/// What systemd tells its subscribers.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    PropertiesChanged(u32),
    JobRemoved { id: u64, worker: u32, result: JobResult, was_operators_stop: bool },
}

/// `TimeoutStartSec=`, in ms: as it is shipped, in small, and infinity.
const START_TIMEOUTS: [u64; 3] = [6_000, 6_000, u64::MAX / 2];
/// How often a worker feeds its watchdog, in ms.
const FEED: u64 = 100;

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

/// What systemd needs from the world.
pub(crate) struct Env<'a> {
    pub(crate) now: u64,
    pub(crate) rng: &'a mut Rng,
    pub(crate) chaos: &'a mut Chaos,
}

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
}
