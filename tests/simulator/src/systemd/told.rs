//! What systemd says of a unit: the values at the time of the signal, not those at the time of the change.

use cluster::info::{Change, UnitInfo};
use cluster::input::Signal;
use cluster::unit::{InvocationId, JobId, JobResult};
use names::Instance;

use super::process::{FEED, Moment, WATCHDOG};
use super::service::Service;
use super::{STRANGER, Systemd};
use crate::rng::Rng;
use crate::world::EPOCH;

/// `TimeoutStopSec=`, in us.
pub(super) const STOP_TIMEOUT: u64 = 4_000_000;

impl Systemd {
    /// Something has changed. A signal comes soon, and includes what changes until then.
    pub(super) fn touch(&mut self, worker: u32) {
        if !std::mem::replace(&mut self.service_mut(worker).is_dirty, true) {
            // At the end of a round of its loop, systemd signals what changed in it.
            self.moments.push((0, worker, 0, Moment::Tell));
        }
    }

    /// Signals what has changed, if something has.
    pub(super) fn tell(&mut self, worker: u32) {
        if !std::mem::replace(&mut self.service_mut(worker).is_dirty, false) || !self.is_heard {
            return;
        }
        let Some(instance) = Instance::new(worker) else { return };
        let service = self.service(worker);
        let of_service = Change {
            restarts: Some(service.restarts),
            main_pid: Some(service.pid),
            started_usec: Some(self.monotonic(service.started)),
            exit_code: Some(service.exit.code),
            exit_status: Some(service.exit.status),
            result: Some(service.result().to_owned()),
            asks: Some(asks(service)),
            ..Change::default()
        };
        let of_unit = Change {
            active: Some(service.active_state()),
            sub_state: Some(service.sub_state().to_owned()),
            invocation: Some(invocation(service)),
            job: Some(service.job.map(|job| JobId(job.id))),
            active_since_usec: Some(real(service.active)),
            active_usec: Some(self.monotonic(service.active)),
            inactive_usec: Some(self.monotonic(service.inactive)),
            ..Change::default()
        };
        // One message for each interface, with values of the same moment.
        for change in [of_service, of_unit] {
            self.signals.push(Signal::Changed(instance, Box::new(change)));
        }
    }

    /// Signals that a job is gone, after what has changed of the unit.
    pub(super) fn tell_removed(&mut self, worker: u32, job: u32, result: JobResult) {
        self.service_mut(worker).is_dirty = true;
        self.tell(worker);
        if let Some(instance) = Instance::new(worker).filter(|_| self.is_heard) {
            self.signals.push(Signal::JobRemoved(instance, JobId(job), result));
        }
    }

    /// What a client reads now.
    pub(crate) fn info(&self, worker: u32, now: u64) -> UnitInfo {
        let service = self.service(worker);
        let load_state = if self.is_masked { "masked" } else { "loaded" };
        UnitInfo {
            active: service.active_state(),
            sub_state: service.sub_state().to_owned(),
            invocation: invocation(service),
            job: service.job.map(|job| JobId(job.id)),
            restarts: service.restarts,
            main_pid: service.pid,
            begun_usec: 0,
            started_usec: self.monotonic(service.started),
            active_since_usec: real(service.active),
            active_usec: self.monotonic(service.active),
            inactive_usec: self.monotonic(service.inactive),
            fed_usec: if service.has_process() { self.monotonic(fed(service, now)) } else { 0 },
            watchdog_usec: WATCHDOG,
            start_timeout_usec: self.manner.start_timeout,
            stop_timeout_usec: STOP_TIMEOUT,
            exit_code: service.exit.code,
            exit_status: service.exit.status,
            result: service.result().to_owned(),
            asks: asks(service),
            cut: 0,
            load_state: load_state.to_owned(),
            needs_daemon_reload: false,
            fragment: String::new(),
            // It is not known what a masked unit is.
            takes_socket: !self.is_masked && (worker != STRANGER || !self.has_stranger),
        }
    }

    /// Forgets an inactive unit, after signalling what is known of it.
    pub(super) fn forget(&mut self, worker: u32) {
        self.tell(worker);
        let service = self.service_mut(worker);
        *service = Service { epoch: service.epoch + 1, missing: service.missing, ..Service::default() };
    }

    /// How long until an inactive unit is forgotten.
    pub(super) fn forget_soon(&mut self, worker: u32, rng: &mut Rng) {
        if self.manner.forgets {
            let delay = rng.pick(&[0, 0, 2_000, 50_000]);
            self.later(worker, delay, Moment::Forgotten);
        }
    }

    fn monotonic(&self, time: u64) -> u64 {
        if time == 0 { 0 } else { time - self.booted }
    }
}

impl Service {
    fn result(&self) -> &'static str {
        self.killed_for.unwrap_or(self.exit.result)
    }
}

/// In microseconds since the Unix epoch.
fn real(time: u64) -> u64 {
    if time == 0 { 0 } else { EPOCH + time }
}

fn fed(service: &Service, now: u64) -> u64 {
    let active = service.active.max(service.started);
    let until = service.stalled.unwrap_or(now).max(active);
    active + (until - active) / FEED * FEED
}

fn asks(service: &Service) -> Option<String> {
    (service.asks && service.pid != 0).then(|| "it has grown".to_owned())
}

pub(crate) fn invocation(service: &Service) -> Option<InvocationId> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&service.invocation.to_le_bytes());
    InvocationId::from_bytes(&id)
}
