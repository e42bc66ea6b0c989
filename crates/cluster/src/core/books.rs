//! What the orchestrator writes to disk for the next one.

use std::time::Duration;

use super::{Cluster, Phase, Purpose};
use crate::effect::Disk;
use crate::history::Entry;
use crate::moment::Moment;

/// The pause after which a failed write is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest time that a write takes.
const LONGEST: Duration = Duration::from_secs(60);

/// When to write to disk again what could not be written.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// The current release.
    pub(super) release: Option<Moment>,
    history: Option<Moment>,
}

impl Again {
    pub(super) fn wake(&self) -> Option<Moment> {
        [self.release, self.history].into_iter().flatten().min()
    }
}

impl Cluster {
    /// Notes in the history how far the rollout under way is.
    pub(super) fn note_in_history(&mut self, change: impl FnOnce(&mut Entry)) {
        let Some(rollout) = self.rolling().filter(|rollout| rollout.plan.is_recorded()) else { return };
        let id = rollout.record.id;
        self.history.amend(id, change);
        self.save_history();
    }

    pub(super) fn save_history(&mut self) {
        self.disk(Disk::History(self.history.shared()), Purpose::History);
    }

    /// The disk has written the history, or failed. After a failure the orchestrator tries again. Otherwise the
    /// next orchestrator would continue a rollout that has ended.
    pub(super) fn history_saved(&mut self, done: Result<(), String>) {
        let was_told = self.again.history.is_some();
        self.again.history = done.is_err().then(|| self.in_time(AGAIN));
        if let Err(error) = done
            && !was_told
        {
            self.warn(format!(
                "{error}; it is tried again, until then the next orchestrator may not know how far the rollout was"
            ));
        }
    }

    /// The disk has written the current release, or failed. After a failure the orchestrator tries again,
    /// because the next cold start uses what the disk says.
    pub(super) fn committed(&mut self, done: Result<(), String>) {
        let was_told = self.again.release.is_some();
        self.again.release = done.is_err().then(|| self.in_time(AGAIN));
        if let Err(error) = done
            && !was_told
        {
            self.error(format!(
                "{error}; it is tried again, until then a start of the whole cluster brings the release before"
            ));
        }
    }

    /// Writes again what could not be written. No attempt is due before the disk answers.
    pub(super) fn write_again(&mut self) {
        let now = self.now.moment;
        let is_due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        let later = Some(self.in_time(LONGEST));
        if is_due(self.again.history) {
            self.again.history = later;
            self.save_history();
        }
        if let Some(release) = self.release.clone().filter(|_| is_due(self.again.release)) {
            self.again.release = later;
            self.disk(Disk::MakeCurrent(release), Purpose::Commit);
        }
    }

    /// Saves the ledger if it has changed. This happens before anything that relies on the change.
    pub(super) fn save_ledger(&mut self) {
        if !self.has_adopted() && !matches!(self.phase, Phase::Ended) {
            return;
        }
        if !std::mem::replace(&mut self.is_ledger_saved, true) {
            self.ledger.wanted = Some(self.settings.workers);
            self.write_ledger();
        }
    }

    pub(super) fn write_ledger(&mut self) {
        let later = "an orchestrator started after this one may show wrong releases";
        self.disk(Disk::Ledger(self.ledger.clone()), Purpose::Warn(later));
    }
}
