//! Crash loops: a worker that keeps ending is stopped for a while, again and again, until it stays.

use std::time::{Duration, SystemTime};

use rollout::backoff::{BackoffPolicy, Verdict};
use rollout::{ActiveState, Instance};

use super::{Driver, LOOK_AFTER, Phase, Timer};
use crate::cluster::monotonic_usec;
use crate::log::{CATALOGUED, message_id};
use crate::manager::EnqueueError;
use crate::names;
use crate::orders::{Order, Wish};
use crate::releases::ReleaseId;
use crate::running::{Running, epoch_usec};

/// For a while after a rollout the workers are watched.
#[derive(Debug)]
pub(super) struct Watch {
    until_usec: u64,
    from: ReleaseId,
    to: ReleaseId,
}

impl Driver {
    /// A worker has ended so many times since somebody looked. Says whether it may be started again at once;
    /// otherwise it is stopped, and started when its pause is over.
    pub(super) async fn ended(&mut self, instance: Instance, ends: u32) -> bool {
        if self.phase == Phase::Stopping || self.is_rolled(instance) {
            return true;
        }
        // Late news: systemd restarts it as fast as it ends, and told of this before it had our stop.
        if self.jobs.is_being_stopped(instance) {
            return false;
        }
        let (now, policy) = (now(), self.backoff_policy());
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return true };
        let was_flapping = worker.backoff.is_flapping(now, &policy);
        let Verdict::Pause(pause) = worker.backoff.ended(now, ends, &policy, names::random()) else {
            return true;
        };
        worker.next_try = Some(epoch_usec(SystemTime::now() + pause));
        let how = worker.last_exit.clone().unwrap_or_else(|| "ended".to_owned());
        if !was_flapping {
            worker.is_flapping_told = true;
            let unit = self.cluster.names.unit(instance);
            tracing::warn!(
                target: CATALOGUED,
                message_id = message_id::WORKER_FLAPS,
                app_cluster_worker = %instance,
                app_cluster_step = "flapping",
                app_cluster_result = how,
                "{instance} is flapping: it {how} again and again; it is stopped and tried again after longer and \
                 longer pauses, the first in {:.1} s; `journalctl -u {unit}` tells why",
                pause.as_secs_f64()
            );
        }
        let is_running = worker.info.active != ActiveState::Inactive;
        self.after(pause, Timer::Start(instance));
        if is_running {
            self.stop_flapping(instance).await;
        }
        self.undo_if_most_flap().await;
        false
    }

    async fn stop_flapping(&mut self, instance: Instance) {
        let Some((_, manager)) = &self.bus else { return };
        match manager.stop(instance).await {
            Ok(job) => {
                self.jobs.track(job, instance, true);
                self.after(LOOK_AFTER, Timer::Look(instance));
            }
            Err(EnqueueError::Refused(reason) | EnqueueError::Unreachable(reason)) => {
                tracing::warn!(worker = %instance, "failed to stop {instance}: {reason}; systemd goes on restarting it");
            }
        }
    }

    /// It became ready: if it stays so, it is forgiven.
    pub(super) fn is_ready_again(&mut self, instance: Instance) {
        // Late news again: its pause has begun.
        if self.jobs.is_being_stopped(instance) {
            return;
        }
        let (now, policy) = (now(), self.backoff_policy());
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        worker.backoff.ready(now);
        worker.next_try = None;
        if worker.backoff.is_flapping(now, &policy) {
            self.after(policy.stable, Timer::Stable(instance));
        }
    }

    /// A worker that flapped has been ready for long.
    pub(super) fn maybe_forgive(&mut self, instance: Instance) {
        let (now, policy) = (now(), self.backoff_policy());
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        if worker.is_flapping_told && !worker.backoff.is_flapping(now, &policy) {
            worker.is_flapping_told = false;
            tracing::info!(worker = %instance, step = "stable", "{instance} flaps no longer");
        }
    }

    pub(super) fn backoff_policy(&self) -> BackoffPolicy {
        let config::BackoffSettings { burst, window, first, max, stable } = self.settings.backoff;
        BackoffPolicy { burst, window, first, max, stable }
    }

    /// Begins to watch what a rollout to another release has brought.
    pub(super) fn begin_watch(&mut self, running: &Running, outcome: &rollout::Outcome) {
        self.watch = None;
        let (rollout::Outcome::Done, Some(from), Some(to)) =
            (outcome, running.prepared.from.clone(), running.prepared.to.clone())
        else {
            return;
        };
        let window = u64::try_from(self.settings.rollout.watch.as_micros()).unwrap_or(u64::MAX);
        let is_undo = matches!(running.prepared.kind, crate::history::Kind::Undo);
        if window > 0 && !is_undo {
            self.watch = Some(Watch { until_usec: monotonic_usec().saturating_add(window), from, to });
        }
    }

    /// While most workers flap shortly after a rollout, it is the release.
    async fn undo_if_most_flap(&mut self) {
        let (now, policy) = (now(), self.backoff_policy());
        let wanted = self.cluster.workers.iter().filter(|(i, _)| i.number() <= self.cluster.desired);
        let flapping = wanted.filter(|(_, worker)| worker.backoff.is_flapping(now, &policy)).count();
        let is_majority = flapping * 2 > self.cluster.desired as usize;
        if !is_majority || self.rolling.is_some() || self.watch.is_none() {
            return;
        }
        let Some(Watch { until_usec, from, to }) = self.watch.take() else { return };
        if monotonic_usec() > until_usec {
            return;
        }
        tracing::error!(
            target: CATALOGUED,
            message_id = message_id::ROLLOUT_UNDONE,
            app_cluster_step = "undo",
            "{flapping} of {} workers flap since the rollout to release {to}: going back to release {from}",
            self.cluster.desired
        );
        if let Err(error) = self.releases.reject(&to) {
            tracing::warn!("failed to mark release {to} as failed: {error}; the next boot may start it");
        }
        let order = Order { wish: Wish::Undo(from), canary: None, by: "app-cluster".to_owned() };
        if let Err(error) = Box::pin(self.request_rollout(order)).await {
            tracing::error!("failed to go back: {}; `app-cluster rollback` tries again", error.message());
        }
    }
}

fn now() -> Duration {
    Duration::from_micros(monotonic_usec())
}
