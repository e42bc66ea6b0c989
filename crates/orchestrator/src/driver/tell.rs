//! Telling how far a rollout is: to clients, to systemd and to the journal.

use rollout::Cause;

use super::Driver;
use crate::log::{CATALOGUED, message_id};
use crate::orders::{Order, Wish};
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
            self.tell().await;
            self.announce(record).await;
        }
    }

    pub(super) async fn announce(&self, record: api::Rollout) {
        self.update_snapshot();
        let Some((connection, _)) = &self.bus else { return };
        if let Err(error) = service::announce(connection, record).await {
            tracing::warn!("failed to tell clients about the rollout: {error}; they ask again by themselves");
        }
    }

    /// Tells systemd and the bus how things stand, if that changed.
    pub(super) async fn tell(&mut self) {
        self.update_snapshot();
        let now = service::Properties {
            summary: self.summary(),
            release: self.cluster.release.as_ref().map(ToString::to_string).unwrap_or_default(),
            desired: self.cluster.desired,
            ready: self.cluster.ready(),
        };
        if now == self.told {
            return;
        }
        if now.summary != self.told.summary {
            super::notify(&[sd_notify::NotifyState::Status(&now.summary)]);
        }
        if let Some((connection, _)) = &self.bus
            && let Err(error) = service::announce_properties(connection, &self.told, &now).await
        {
            tracing::warn!("failed to tell clients about changes: {error}; they ask again by themselves");
        }
        self.told = now;
    }

    /// A rollout that was queued does not begin.
    pub(super) async fn tell_refused(&mut self, id: u64, order: &Order, message: String) {
        let refused = api::Rollout {
            id,
            kind: match order.wish {
                Wish::Reload => api::Kind::Reload,
                Wish::Deploy(_) => api::Kind::Deploy,
                Wish::Rollback(_) => api::Kind::Rollback,
                Wish::Undo(_) => api::Kind::Undo,
                Wish::Recycle(_) => api::Kind::Recycle,
            },
            by: order.by.clone(),
            state: api::RolloutState::Refused,
            from: String::new(),
            to: String::new(),
            steps: Vec::new(),
            message,
            failure: Vec::new(),
            step_timeout_usec: 0,
            deadline_usec: 0,
        };
        if self.rolling.is_none() {
            self.last_rollout = Some(refused.clone());
        }
        self.announce(refused).await;
    }

    pub(super) fn log_turn(&self) {
        let Some((running, cause)) =
            self.rolling.as_ref().and_then(|running| Some((running, running.machine.cause()?)))
        else {
            return;
        };
        if *cause == Cause::Aborted {
            let from = &running.record.from;
            tracing::info!(
                rollout = running.record.id,
                step = "restore",
                "{cause}; going back to release {from}"
            );
            return;
        }
        tracing::error!(
            rollout = running.record.id,
            worker = match cause {
                Cause::Fault(instance, _) => Some(tracing::field::display(*instance)),
                _ => None,
            },
            step = "restore",
            result = "failed",
            "{cause}; going back to release {}",
            running.record.from
        );
    }
}

/// One line for each worker that came further.
fn log_steps(before: &api::Rollout, now: &api::Rollout) {
    let wanted = || now.steps.iter().filter(|step| !step.is_surge);
    let total = wanted().filter(|step| step.state != api::StepState::Skipped).count();
    let done = wanted().filter(|step| step.state == api::StepState::Done).count();
    for step in now.steps.iter().filter(|step| !before.steps.contains(step)) {
        let worker = format!("worker@{}", step.instance);
        let (word, text) = match step.state {
            // That it is ready is told when its unit says so.
            api::StepState::Waiting | api::StepState::Settling | api::StepState::Stopping => continue,
            _ if before.steps.iter().any(|old| old.instance == step.instance && old.state == step.state) => {
                continue;
            }
            api::StepState::Restarting if step.is_surge => {
                ("start", "is started beyond the wanted number".to_owned())
            }
            api::StepState::Restarting => ("restart", "is being restarted".to_owned()),
            api::StepState::Done if step.is_surge => {
                ("done", "stands in for those to be replaced".to_owned())
            }
            api::StepState::Done => ("done", format!("is replaced ({done} of {total})")),
            api::StepState::Skipped => ("skip", "is left out: it was stopped on purpose".to_owned()),
            api::StepState::Stopped => ("stop", "is stopped, it is not needed any more".to_owned()),
            api::StepState::Failed => ("failed", "failed".to_owned()),
            api::StepState::Restoring => ("restore", "goes back to the old release".to_owned()),
            api::StepState::Restored => ("restored", "is back on the old release".to_owned()),
        };
        tracing::info!(rollout = now.id, worker, step = word, "{worker} {text}");
    }
}

/// The one line in which the journal tells how a rollout ended.
pub(super) fn log_end(record: &api::Rollout) {
    let api::Rollout { id, message, .. } = record;
    match record.state {
        api::RolloutState::Done => {
            tracing::info!(
                target: CATALOGUED,
                message_id = message_id::ROLLOUT_DONE,
                app_cluster_rollout = id,
                app_cluster_step = "end",
                app_cluster_result = "done",
                "rollout {id} done: {message}"
            );
        }
        api::RolloutState::Aborted => {
            tracing::warn!(rollout = id, step = "end", result = "aborted", "rollout {id} {message}");
        }
        _ => {
            let result = if record.state == api::RolloutState::Restored { "restored" } else { "failed" };
            tracing::error!(
                target: CATALOGUED,
                message_id = message_id::ROLLOUT_FAILED,
                app_cluster_rollout = id,
                app_cluster_worker = record.failure.first().map(|failure| format!("worker@{}", failure.instance)),
                app_cluster_step = "end",
                app_cluster_result = result,
                "rollout {id} failed: {message}{}",
                last_words(record)
            );
        }
    }
}

fn last_words(record: &api::Rollout) -> String {
    let mut text = String::new();
    for failure in &record.failure {
        if !failure.journal.is_empty() {
            text.push_str(&format!("\nlast lines of {}:", failure.unit));
        }
        for line in &failure.journal {
            text.push_str(&format!("\n  {line}"));
        }
    }
    text
}
