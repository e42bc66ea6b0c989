//! What the orchestrator writes to disk for the next one.

use super::{Cluster, Phase, Purpose};
use crate::effect::Disk;
use crate::history::Entry;

pub(super) const HISTORY_LATER: &str =
    "an orchestrator started after this one may not know how far the rollout was";

impl Cluster {
    /// Notes in the history how far the rollout under way is.
    pub(super) fn note_in_history(&mut self, change: impl FnOnce(&mut Entry)) {
        let Some(rollout) = self.rolling().filter(|rollout| rollout.plan.is_recorded()) else { return };
        let id = rollout.record.id;
        self.history.amend(id, change);
        self.save_history();
    }

    pub(super) fn save_history(&mut self) {
        self.disk(Disk::History(self.history.shared()), Purpose::Warn(HISTORY_LATER));
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
