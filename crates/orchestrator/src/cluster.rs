//! What the orchestrator knows of the cluster at this moment, and how it tells it.

use std::collections::{BTreeMap, BTreeSet};

use api::WorkerState;
use rollout::backoff::Backoff;
use rollout::keep::{Correction, corrections};
use rollout::plan::Candidate;
use rollout::{ActiveState, Instance, InvocationId};

use crate::breach::Breach;
use crate::ledger::Ledger;
use crate::manager::{Reading, Sequence};
use crate::names::Names;
use crate::releases::ReleaseId;
use crate::unit_info::{Properties, UnitInfo};

/// One worker.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    /// The newest of what was read and what signals told.
    pub(crate) info: UnitInfo,
    /// When it was read last, in the order in which the bus delivers.
    read_at: Sequence,
    pub(crate) backoff: Backoff,
    /// When it is started again, in microseconds since the Unix epoch, while it waits for that because it flaps.
    pub(crate) next_try: Option<u64>,
    /// The process that the log knows to be ready: a signal may come late, and tell of it again.
    pub(crate) told_ready: Option<InvocationId>,
    /// Whether the log knows that it flaps.
    pub(crate) is_flapping_told: bool,
    /// How its last process ended, as a phrase.
    pub(crate) last_exit: Option<String>,
    /// What of its contract that process had not kept.
    pub(crate) breach: Option<Breach>,
    /// What signals have told so far. They come in order, so it is as the worker was at one moment; not what is known of the
    /// worker, which may have been read after the last one was sent: then the same restart would be seen twice.
    pub(crate) told: UnitInfo,
    /// The job that the worker had when it became inactive; its end tells whether that was on purpose.
    pub(crate) stopping_job: Option<String>,
    /// Whether the log knows that systemd has given it up.
    pub(crate) is_given_up: bool,
    /// Whether its signals were asked for on this connection.
    pub(crate) is_watched: bool,
}

impl Worker {
    /// Takes over what was read of it.
    pub(crate) fn read(&mut self, Reading { mut info, at }: Reading) {
        info.remember(&self.info);
        self.note_exit(info.last_exit(), info.breach(&info));
        self.info = info;
        self.read_at = at;
    }

    /// Takes over what a signal tells. One that systemd sent before the worker was read may be heard after that: it tells
    /// what happened, and nothing of how things are.
    pub(crate) fn hear(&mut self, properties: &Properties, at: Sequence) {
        self.told.apply(properties);
        self.note_exit(self.told.last_exit(), self.told.breach(&self.info));
        if at < self.read_at {
            return;
        }
        let was_inactive = self.info.active == ActiveState::Inactive;
        self.info.apply(properties);
        if self.info.active == ActiveState::Inactive && !was_inactive {
            self.info.main_pid = 0;
        }
    }

    fn note_exit(&mut self, exit: Option<String>, breach: Option<Breach>) {
        // While it waits because it flaps, the stop is ours and says nothing about the worker.
        let is_ours = self.next_try.is_some() && self.last_exit.is_some();
        if exit.is_some() && !is_ours {
            (self.last_exit, self.breach) = (exit, breach);
        }
    }

    /// There is another connection to the bus, which counts anew.
    pub(crate) fn begin_listening_anew(&mut self) {
        self.is_watched = false;
        self.read_at = Sequence::default();
    }
}

/// All workers, and how many there should be.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) names: Names,
    pub(crate) desired: u32,
    pub(crate) workers: BTreeMap<Instance, Worker>,
    pub(crate) ledger: Ledger,
    pub(crate) release: Option<ReleaseId>,
}

impl Cluster {
    /// The workers as planner and keeper see them.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(&instance, worker): (&Instance, &Worker)| Candidate {
            instance,
            unit: worker.info.unit(),
            is_held: self.ledger.is_held(instance),
        };
        self.workers.iter().map(candidate).collect()
    }

    /// What to start and stop so that the wanted number runs.
    pub(crate) fn corrections(&self) -> Vec<Correction> {
        let is_due = |correction: &Correction| match correction {
            Correction::Start(instance) => self.workers[instance].next_try.is_none(),
            Correction::Stop(_) => true,
        };
        corrections(self.desired, &self.candidates()).into_iter().filter(is_due).collect()
    }

    /// The release this worker's process runs.
    pub(crate) fn release_of(&self, worker: &Worker) -> Option<&ReleaseId> {
        (worker.info.main_pid != 0).then(|| self.ledger.release_at(worker.info.started_usec)).flatten()
    }

    /// When the oldest of the workers' processes began, by CLOCK_MONOTONIC in microseconds; now if there is none.
    pub(crate) fn oldest_process(&self) -> u64 {
        let running = self.workers.values().filter(|worker| worker.info.main_pid != 0);
        running.map(|worker| worker.info.started_usec).min().unwrap_or_else(monotonic_usec)
    }

    /// Workers whose process runs something else than the current release.
    pub(crate) fn stragglers(&self) -> Vec<Instance> {
        let is_straggler = |worker: &Worker| {
            self.release_of(worker).is_some_and(|release| Some(release) != self.release.as_ref())
        };
        self.workers.iter().filter(|(_, worker)| is_straggler(worker)).map(|(i, _)| *i).collect()
    }

    /// How many of the wanted workers are ready.
    pub(crate) fn ready(&self) -> u32 {
        let wanted = self.workers.iter().filter(|(i, _)| i.number() <= self.desired);
        wanted.filter(|(_, worker)| worker.info.active == ActiveState::Active).count() as u32
    }

    /// `4 of 4 ready, release 1.2.0`
    pub(crate) fn summary(&self) -> String {
        let mut releases: BTreeSet<_> = self.workers.values().filter_map(|w| self.release_of(w)).collect();
        releases.extend(releases.is_empty().then_some(self.release.as_ref()).flatten());
        let names: Vec<_> = releases.into_iter().map(ToString::to_string).collect();
        let releases = match &names[..] {
            [] => String::new(),
            [one] => format!(", release {one}"),
            many => {
                format!(", releases {}: `systemctl reload app-cluster` brings all to one", many.join(" and "))
            }
        };
        let flapping = self.workers.values().filter(|worker| worker.next_try.is_some()).count();
        let flapping = if flapping == 0 { String::new() } else { format!(", {flapping} flapping") };
        format!("{} of {} ready{flapping}{releases}", self.ready(), self.desired)
    }

    /// Every worker, for a client.
    pub(crate) fn worker_status(&self) -> Vec<api::Worker> {
        self.workers.iter().map(|(&instance, worker)| self.one_status(instance, worker)).collect()
    }

    fn one_status(&self, instance: Instance, worker: &Worker) -> api::Worker {
        let info = &worker.info;
        let state = match info.active {
            ActiveState::Inactive | ActiveState::Failed if worker.next_try.is_some() => WorkerState::Flapping,
            ActiveState::Active => WorkerState::Ready,
            ActiveState::Activating | ActiveState::Other => WorkerState::Starting,
            ActiveState::Deactivating => WorkerState::Stopping,
            ActiveState::Failed => WorkerState::Failed,
            ActiveState::Inactive if self.ledger.is_held(instance) => WorkerState::Stopped,
            // It ended by itself and waits for its next start.
            ActiveState::Inactive if instance.number() <= self.desired => WorkerState::Starting,
            ActiveState::Inactive => WorkerState::Stopped,
        };
        api::Worker {
            instance: instance.number(),
            unit: self.names.unit(instance),
            state,
            sub_state: info.sub_state.clone(),
            pid: info.main_pid,
            release: self.release_of(worker).map(ToString::to_string).unwrap_or_default(),
            ready_since_usec: if state == WorkerState::Ready { info.active_since_usec } else { 0 },
            restarts: info.restarts,
            next_try_usec: worker.next_try.unwrap_or_default(),
            last_exit: worker.last_exit.clone().unwrap_or_default(),
        }
    }
}

/// CLOCK_MONOTONIC in microseconds: the clock that systemd's `…Monotonic` properties are of.
pub(crate) fn monotonic_usec() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000
        + u64::try_from(now.tv_nsec).unwrap_or_default() / 1000
}

#[cfg(test)]
mod tests;
