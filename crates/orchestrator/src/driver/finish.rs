//! The turn back and the end of a rollout: the link, the books, and what comes next.

use std::time::SystemTime;

use rollout::Outcome;

use super::tell::log_end;
use super::{Driver, Phase};
use crate::fault;
use crate::history::State;
use crate::running::{Running, epoch_usec};

impl Driver {
    /// Makes the old release current again. That the way leads back now is written down before.
    pub(super) fn restore_release(&mut self) {
        self.log_turn();
        let failure =
            self.rolling.as_ref().and_then(|running| running.machine.cause()).map(ToString::to_string);
        self.note_in_history(State::Restoring, failure);
        fault::point("turning");
        let Some(running) = &mut self.rolling else { return };
        running.has_turned_back = true;
        let (Some(from), to) = (running.prepared.from.clone(), running.prepared.to.clone()) else {
            return;
        };
        let is_aborted = matches!(running.machine.cause(), Some(rollout::Cause::Aborted));
        let restored = self.switch_release(to.as_ref(), &from);
        fault::point("turned");
        if let Some(to) = to.as_ref().filter(|_| !is_aborted)
            && let Err(error) = self.releases.reject(to)
        {
            tracing::warn!("failed to mark release {to} as failed: {error}; the next boot may start it");
        }
        if let (Err(error), Some(running)) = (restored, &mut self.rolling) {
            tracing::error!(
                rollout = running.record.id,
                "{error:#}; workers that restart run the failed release"
            );
            running.stuck = Some(format!("{error:#}"));
        }
    }

    /// Everything that follows the end of a rollout.
    pub(super) async fn finish(&mut self, mut running: Running) {
        let Some(outcome) = running.outcome.clone() else { return };
        running.refresh();
        running.conclude(&outcome, &self.cluster.stragglers());
        let record = running.record.clone();
        let state = match record.state {
            api::RolloutState::Done => State::Done,
            api::RolloutState::Aborted => State::Aborted,
            api::RolloutState::Restored => State::Restored,
            _ => State::Failed,
        };
        let failure = (state != State::Done).then(|| record.message.clone());
        let ended = Some(epoch_usec(SystemTime::now()));
        if running.prepared.is_recorded() {
            let noted = self.history.update(record.id, state, failure, ended);
            self.warn_of_history(noted);
        }
        self.learn_for_recycling(&record);
        fault::point("ended");
        self.tidy_up(&running, &outcome);
        log_end(&record);
        self.last_rollout = Some(record.clone());
        self.announce(record).await;
        self.begin_watch(&running, &outcome);
        self.forget_surplus().await;
        if self.phase == Phase::Running {
            if let Some(settings) = self.deferred.take() {
                self.go_by(settings);
            }
            self.correct().await;
            self.begin_queued().await;
        }
    }

    /// A release that rolled out is good; what is older than those that are kept is not needed.
    fn tidy_up(&self, running: &Running, outcome: &Outcome) {
        let (Some(to), Some(_)) = (&running.prepared.to, &running.prepared.from) else { return };
        let keep = self.settings.releases.keep as usize;
        let tidied = self.stage.with_none_under_way(|releases| {
            if *outcome == Outcome::Done {
                releases.accept(to)?;
            }
            releases.prune(keep, &self.history.lineage(), &self.in_use())
        });
        match tidied {
            Some(Ok(removed)) if !removed.is_empty() => {
                let names: Vec<_> = removed.iter().map(ToString::to_string).collect();
                tracing::info!("removed old releases: {}", names.join(", "));
            }
            Some(Err(error)) => {
                tracing::warn!("failed to tidy up old releases: {error}; they stay on disk");
            }
            // While one is being made nothing is removed; there is another time.
            Some(Ok(_)) | None => {}
        }
    }

    pub(super) fn note_in_history(&mut self, state: State, failure: Option<String>) {
        let Some(running) = self.rolling.as_ref().filter(|running| running.prepared.is_recorded()) else {
            return;
        };
        let noted = self.history.update(running.record.id, state, failure, None);
        self.warn_of_history(noted);
    }

    pub(super) fn warn_of_history(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            let dir = self.cluster.names.state_dir.display();
            tracing::warn!(
                "failed to write to {dir}: {error}; an orchestrator started after this one may not know how far the rollout was"
            );
        }
    }

    pub(super) async fn begin_queued(&mut self) {
        while let Some((id, order)) = self.queue.next() {
            match Box::pin(self.begin_rollout(id, order.clone())).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(rollout = id, "no rollout begins: {}", error.message());
                    self.tell_refused(id, &order, error.message()).await;
                }
            }
        }
    }
}
