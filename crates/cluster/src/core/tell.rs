//! What clients and systemd see of the cluster, and when.

use std::collections::BTreeSet;

use names::Instance;

use super::worker::Worker;
use super::{Cluster, Phase};
use crate::effect::Effect;
use crate::input::SocketState;
use crate::moment::Now;
use crate::release::ReleaseId;
use crate::unit::ActiveState;
use crate::view;

impl Cluster {
    /// The cluster as clients see it at this time.
    pub fn view(&self, now: Now) -> view::View {
        let workers = self.workers.iter().filter(|(instance, worker)| self.is_shown(**instance, worker));
        let rolling = || self.rolling().map(|rollout| rollout.record.clone());
        view::View {
            properties: self.properties(),
            workers: workers.map(|(&instance, worker)| self.worker_view(instance, worker, now)).collect(),
            rollout: rolling().or_else(|| self.waiting()).or_else(|| self.last_rollout.clone()),
            history: self.history.shared(),
        }
    }

    /// Whether clients see this worker. One beyond the wanted number is shown while it runs or is part of the
    /// rollout.
    fn is_shown(&self, instance: Instance, worker: &Worker) -> bool {
        let is_wanted = instance.number() <= self.settings.workers;
        is_wanted || !worker.info.is_down() || self.has_part(instance)
    }

    fn worker_view(&self, instance: Instance, worker: &Worker, now: Now) -> view::Worker {
        let state = self.worker_state(instance, worker);
        let is_ready = state == view::WorkerState::Ready;
        view::Worker {
            instance,
            state,
            sub_state: worker.info.sub_state.clone(),
            pid: worker.info.main_pid,
            release: self.release_of(instance).cloned(),
            ready_since_usec: if is_ready { worker.info.active_since_usec } else { 0 },
            restarts: worker.info.restarts,
            next_try_usec: worker.pause.map_or(0, |pause| now.epoch_usec_at(pause.until)),
            last_exit: worker.last_exit.clone().unwrap_or_default(),
        }
    }

    fn worker_state(&self, instance: Instance, worker: &Worker) -> view::WorkerState {
        use view::WorkerState as State;
        match worker.info.active {
            _ if worker.pause.is_some() => State::Flapping,
            ActiveState::Active => State::Ready,
            ActiveState::Activating => State::Starting,
            ActiveState::Deactivating => State::Stopping,
            ActiveState::Failed => State::Failed,
            _ if self.ledger.is_held(instance) => State::Stopped,
            _ if matches!(self.phase, Phase::Stopping(_) | Phase::Ended) => State::Stopped,
            _ if worker.verdicts > 0 || worker.is_being_stopped() => State::Stopping,
            _ => State::Starting,
        }
    }

    /// The release that this worker's process executes.
    pub(super) fn release_of(&self, instance: Instance) -> Option<&ReleaseId> {
        let worker = self.workers.get(&instance).filter(|worker| worker.info.main_pid != 0)?;
        self.ledger.release_at(instance, worker.info.started_usec)
    }

    /// Whether this worker's process may execute either the release that its instance was linked to last, or
    /// the one before.
    pub(super) fn is_unsure(&self, instance: Instance) -> bool {
        self.workers.get(&instance).is_some_and(|worker| {
            worker.info.main_pid != 0 && self.ledger.is_unsure_at(instance, worker.info.started_usec)
        })
    }

    /// Whether this worker's process is known to execute this release.
    pub(super) fn runs(&self, instance: Instance, release: &ReleaseId) -> bool {
        self.release_of(instance) == Some(release) && !self.is_unsure(instance)
    }

    /// Workers whose process executes, or may execute, another release than the current one.
    pub(super) fn stragglers(&self) -> Vec<Instance> {
        let is_straggler = |instance: &&Instance| {
            let Some(worker) = self.workers.get(instance).filter(|worker| worker.info.main_pid != 0) else {
                return false;
            };
            let mut candidates = self.ledger.candidates_at(**instance, worker.info.started_usec);
            candidates.any(|release| Some(release) != self.release.as_ref())
        };
        self.workers.keys().filter(is_straggler).copied().collect()
    }

    /// How many of the wanted workers are ready.
    fn ready(&self) -> u32 {
        let is_ready =
            |instance: &Instance| self.workers.get(instance).is_some_and(|w| w.info.unit().is_active());
        Instance::first(self.settings.workers).filter(is_ready).count() as u32
    }

    /// The state of the cluster as a phrase: `4 of 4 ready, release 1.2.0`.
    pub(super) fn cluster_summary(&self) -> String {
        let mut releases: BTreeSet<_> =
            self.workers.keys().filter_map(|instance| self.release_of(*instance)).collect();
        releases.extend(releases.is_empty().then_some(self.release.as_ref()).flatten());
        let names: Vec<_> = releases.into_iter().map(ToString::to_string).collect();
        let releases = match &names[..] {
            [] => String::new(),
            [one] => format!(", release {one}"),
            many if self.unfinished.is_some() => format!(", releases {}", many.join(" and ")),
            many => {
                format!(", releases {}: `systemctl reload app-cluster` brings all to one", many.join(" and "))
            }
        };
        let flapping = self.workers.values().filter(|worker| worker.pause.is_some()).count();
        let flapping = if flapping == 0 { String::new() } else { format!(", {flapping} flapping") };
        format!("{} of {} ready{flapping}{releases}", self.ready(), self.settings.workers)
    }

    /// The message about addresses on which systemd does not listen, if there are any.
    pub(super) fn missing_words(&self, state: &SocketState) -> Option<String> {
        let (socket, missing) = (&self.names.socket, state.missing.join(" and "));
        let words = || {
            format!(
                "{socket} names {missing}, where systemd does not listen: `app-cluster rebind` applies the change"
            )
        };
        (!missing.is_empty()).then(words)
    }

    /// The one sentence that `systemctl status`, the log and `app-cluster status` show.
    fn summary(&self) -> String {
        let mut state = self.cluster_summary();
        if let Some(missing) = self.socket.as_ref().and_then(|socket| self.missing_words(socket))
            && !self.refused.as_ref().is_some_and(|refused| refused.contains(&missing))
        {
            state += &format!("; {missing}");
        }
        match (&self.phase, self.rolling(), &self.last_rollout) {
            (Phase::Stopping(_), ..) => format!("stopping the workers: {state}"),
            (Phase::Asking(_) | Phase::Ended, ..) => format!("ending: {state}"),
            (Phase::Opening | Phase::Looking(_) | Phase::Starting, ..) => format!("starting: {state}"),
            (Phase::Running, Some(rollout), _) => rollout.record.message.clone(),
            (Phase::Running, None, last) => match (&self.refused, last) {
                _ if self.is_busy()
                    && let Some(waiting) = self.waiting() =>
                {
                    format!("{state}; rollout {} {}", waiting.id, waiting.message)
                }
                (Some(refused), _) => format!("{state}; the last rollout was refused: {refused}"),
                (None, Some(last)) if has_failed(last) => {
                    format!("{state}; the last rollout failed: {}", last.message)
                }
                _ => state,
            },
        }
    }

    fn properties(&self) -> view::Properties {
        view::Properties {
            summary: self.summary(),
            release: self.release.as_ref().map(ToString::to_string).unwrap_or_default(),
            desired: self.settings.workers,
            ready: self.ready(),
        }
    }

    /// Sends the properties to systemd and clients, if they have changed.
    pub(super) fn tell(&mut self) {
        if matches!(self.phase, Phase::Opening | Phase::Looking(_)) {
            return;
        }
        let now = self.properties();
        if now == self.told {
            return;
        }
        if now.summary != self.told.summary {
            self.effects.push_back(Effect::Status(now.summary.clone()));
        }
        self.effects.push_back(Effect::Properties(now.clone()));
        self.told = now;
    }

    /// Announces the progress of the rollout, if it has changed.
    pub(super) fn publish(&mut self) {
        let now = self.now;
        let Some(rollout) = self.rolling_mut() else { return };
        let before = rollout.record.clone();
        rollout.refresh(now);
        if rollout.record != before {
            let record = rollout.record.clone();
            self.log_steps(&before, &record);
            self.tell();
            self.effects.push_back(Effect::Announce(Box::new(record)));
        }
    }
}

fn has_failed(rollout: &view::Rollout) -> bool {
    matches!(rollout.state, view::RolloutState::Restored | view::RolloutState::Failed)
}
