//! What workers do by themselves: crash, end, come back, be stopped by somebody.

use rollout::{ActiveState, Event, Instance, JobResult};

use super::{Driver, Phase, Timer};
use crate::unit_info::Properties;

impl Driver {
    /// Some of a worker's properties changed.
    ///
    /// A signal tells what was, in the order in which it happened; that is what is needed to tell a worker that
    /// ended by itself from one that was stopped: at the moment it became inactive it had a job or had none.
    /// For the rollout, which needs to know what is, it is a reason to look.
    pub(super) async fn changed(&mut self, instance: Instance, properties: Properties) {
        let Some(worker) = self.cluster.workers.get_mut(&instance) else {
            return;
        };
        let (was, restarts) = (worker.told_active, worker.info.restarts);
        worker.info.apply(properties);
        worker.told_active = worker.info.active;
        if let Some(exit) = worker.info.last_exit() {
            worker.last_exit = Some(exit);
        }
        let (now, restarted) = (worker.info.active, worker.info.restarts > restarts);
        if restarted {
            self.log_restart(instance);
        }
        match now {
            ActiveState::Inactive if was != ActiveState::Inactive => self.became_inactive(instance),
            ActiveState::Active if was != ActiveState::Active => self.became_active(instance),
            ActiveState::Failed if was != ActiveState::Failed => self.log_failed(instance),
            _ => {}
        }
        if self.is_settling(instance) {
            self.look(instance).await;
        }
    }

    fn became_inactive(&mut self, instance: Instance) {
        let Some(worker) = self.cluster.workers.get_mut(&instance) else {
            return;
        };
        let has_job = worker.info.has_job();
        worker.info.main_pid = 0;
        if instance.number() > self.cluster.desired {
            tracing::info!(worker = %instance, "{instance} is stopped");
            if !has_job {
                self.cluster.workers.remove(&instance);
            }
            return;
        }
        let is_ours = self.jobs.values().any(|of| *of == instance) || self.is_at_hand(instance);
        if is_ours || self.phase == Phase::Stopping {
            return;
        }
        if has_job {
            tracing::info!(
                worker = %instance,
                "{instance} was stopped on purpose and stays so; `systemctl start {}` brings it back",
                self.cluster.names.unit(instance)
            );
            self.hold(instance, true);
            return;
        }
        let uptime = self.cluster.uptime(instance);
        let Some(worker) = self.cluster.workers.get_mut(&instance) else {
            return;
        };
        let pause = worker.backoff.after(uptime);
        let how = worker.last_exit.as_deref().unwrap_or("ended");
        match pause.as_millis() {
            0 => tracing::warn!(worker = %instance, "{instance} {how} by itself; starting it again"),
            ms => {
                tracing::warn!(worker = %instance, "{instance} {how} by itself; starting it again in {ms} ms")
            }
        }
        self.after(pause, Timer::Start(instance));
    }

    fn became_active(&mut self, instance: Instance) {
        self.hold(instance, false);
        let Some(worker) = self.cluster.workers.get(&instance) else {
            return;
        };
        if is_worth_telling(worker.info.restarts) {
            tracing::info!(
                worker = %instance,
                step = "ready",
                "{instance} is ready, pid {}{}",
                worker.info.main_pid,
                self.cluster.release_of(worker).map(|id| format!(", release {id}")).unwrap_or_default()
            );
        }
    }

    fn hold(&mut self, instance: Instance, is_held: bool) {
        let noted = self.cluster.ledger.set_held(instance, is_held);
        self.warn_of_ledger(noted);
    }

    fn log_restart(&self, instance: Instance) {
        let Some(worker) = self.cluster.workers.get(&instance) else {
            return;
        };
        let restarts = worker.info.restarts;
        if is_worth_telling(restarts) {
            tracing::warn!(
                worker = %instance,
                result = worker.last_exit.as_deref().unwrap_or("unknown"),
                "{instance} {}; systemd starts it again (restart {restarts})",
                worker.last_exit.as_deref().unwrap_or("failed")
            );
        }
    }

    fn log_failed(&self, instance: Instance) {
        let Some(worker) = self.cluster.workers.get(&instance) else {
            return;
        };
        let unit = self.cluster.names.unit(instance);
        tracing::error!(
            worker = %instance,
            result = "failed",
            "{instance} {} and is not started again; `journalctl -u {unit}` tells why, \
             `systemctl reload app-cluster` tries again",
            worker.last_exit.as_deref().unwrap_or("failed")
        );
    }

    /// One of our jobs ended.
    pub(super) async fn job_finished(&mut self, instance: Instance, result: JobResult) {
        self.inspect(instance).await;
        let Some(worker) = self.cluster.workers.get(&instance) else {
            return;
        };
        let unit = worker.info.unit();
        if self.is_at_hand(instance) {
            self.roll_on(Event::JobFinished { instance, result, unit }).await;
        } else if result != JobResult::Done && self.phase != Phase::Stopping {
            tracing::warn!(
                worker = %instance,
                result = %result,
                "{instance} did not start: {}; systemd goes on trying",
                worker.last_exit.as_deref().unwrap_or("its job failed")
            );
        }
        self.maybe_ready();
        self.maybe_stopped();
    }

    /// The pause of a worker that ended by itself is over.
    pub(super) async fn start_if_wanted(&mut self, instance: Instance) {
        self.inspect(instance).await;
        let is_wanted = self.cluster.corrections().contains(&rollout::keep::Correction::Start(instance));
        if is_wanted && self.phase != Phase::Stopping {
            self.start(instance).await;
        }
    }
}

/// A crash loop is told at its 1st, 2nd, 4th, 8th … restart: often enough to see it, and no flood.
fn is_worth_telling(restarts: u32) -> bool {
    restarts == 0 || restarts.is_power_of_two()
}
