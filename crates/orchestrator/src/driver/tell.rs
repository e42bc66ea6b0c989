//! Telling how far a rollout is: to clients, to systemd and to the journal.

use rollout::Action;

use super::Driver;
use crate::service;

impl Driver {
    /// Tells everybody how far the rollout is, if that changed.
    pub(super) async fn publish(&mut self) {
        let Some(running) = &mut self.rolling else { return };
        let before = running.record.clone();
        running.refresh();
        if running.record != before {
            let record = running.record.clone();
            log_steps(&before, &record);
            self.tell_systemd();
            self.announce(record).await;
        }
    }

    pub(super) async fn announce(&self, record: api::Rollout) {
        let Some((connection, _)) = &self.bus else { return };
        if let Err(error) = service::announce(connection, record).await {
            tracing::warn!("failed to tell clients about the rollout: {error}; they ask again by themselves");
        }
    }

    pub(super) fn log_step_before(&self, action: &Action) {
        let (Some(running), Action::RestoreRelease) = (&self.rolling, action) else {
            return;
        };
        if let Some((instance, fault)) = running.machine.fault() {
            tracing::error!(
                rollout = running.record.id,
                worker = %instance,
                step = "restore",
                result = "failed",
                "{instance} {fault}; going back to release {}",
                running.record.from
            );
        }
    }
}

/// One line for each worker that came further.
fn log_steps(before: &api::Rollout, now: &api::Rollout) {
    let total = now.steps.len();
    let done = now.steps.iter().filter(|step| step.state == api::StepState::Done).count();
    for step in now.steps.iter().filter(|step| !before.steps.contains(step)) {
        let worker = format!("worker@{}", step.instance);
        let (word, text) = match step.state {
            // That it is ready is told when its unit says so.
            api::StepState::Waiting | api::StepState::Settling => continue,
            api::StepState::Restarting => ("restart", "is being restarted".to_owned()),
            api::StepState::Done => ("done", format!("is replaced ({done} of {total})")),
            api::StepState::Failed => ("failed", "failed".to_owned()),
            api::StepState::Restoring => ("restore", "goes back to the old release".to_owned()),
            api::StepState::Restored => ("restored", "is back on the old release".to_owned()),
        };
        tracing::info!(rollout = now.id, worker, step = word, "{worker} {text}");
    }
}

/// The one line in which the journal tells how a rollout ended.
pub(super) fn log_end(record: &api::Rollout) {
    let id = record.id;
    match record.state {
        api::RolloutState::Done => {
            tracing::info!(
                rollout = id,
                step = "end",
                result = "done",
                "rollout {id} done: {}",
                record.message
            );
        }
        api::RolloutState::Aborted => {
            tracing::warn!(rollout = id, step = "end", result = "aborted", "rollout {id} {}", record.message);
        }
        _ => {
            let result = if record.state == api::RolloutState::Restored { "restored" } else { "failed" };
            let mut text = format!("rollout {id} failed: {}", record.message);
            for failure in &record.failure {
                if !failure.journal.is_empty() {
                    text.push_str(&format!("\nlast lines of {}:", failure.unit));
                }
                for line in &failure.journal {
                    text.push_str(&format!("\n  {line}"));
                }
            }
            tracing::error!(rollout = id, step = "end", result, "{text}");
        }
    }
}
