//! The rollouts so far: who asked for them, how they ended, and what the current one is to do.
//!
//! A rollout is written down before its first worker is touched, and whenever it pauses, turns back or ends.
//! If the orchestrator finds its last entry unfinished, it knows what its predecessor was doing when it died
//! (docs/decisions/0010).

use std::sync::Arc;

use crate::event::Cause;
use crate::lineage::{Lineage, Past};
use crate::release::ReleaseId;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every worker gets a new process of the same release.
    Reload,
    /// The release that the package brings.
    Package,
    /// A release that an operator deployed.
    Deploy,
    /// An operator goes back to a release.
    Rollback,
    /// The orchestrator goes back to the release before, because most workers flapped.
    Undo,
    /// The workers that asked for it get new processes.
    Recycle,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Workers are being replaced.
    Running,
    /// The rollout waits for an operator.
    Paused,
    /// Workers are going back to the old release.
    Restoring,
    /// Every worker was replaced.
    Done,
    /// The rollout was given up, and every worker is on the old release.
    Restored,
    /// The rollout was given up, and not every worker runs one release.
    Failed,
    /// The rollout ended on request.
    Aborted,
    /// The cluster was stopped in the middle of the rollout.
    Interrupted,
}

impl State {
    /// Whether the rollout is over.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Running | Self::Paused | Self::Restoring)
    }
}

/// One rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The rollout's id, the same as on the bus.
    pub id: u64,
    /// When it began, in microseconds since the Unix epoch.
    pub begun_usec: u64,
    /// When it began, by CLOCK_MONOTONIC in microseconds. A worker that started later in the same boot counts
    /// as replaced.
    pub begun_monotonic_usec: u64,
    /// The boot in which it began. In another boot the monotonic time has no meaning.
    pub boot_id: String,
    /// When it ended, in microseconds since the Unix epoch.
    pub ended_usec: Option<u64>,
    /// What was asked for.
    pub kind: Kind,
    /// Who asked for it.
    pub by: String,
    /// The release that the workers ran before. None if there was none, or if it stayed.
    pub from: Option<ReleaseId>,
    /// The release that the workers are brought to. None if there is none.
    pub to: Option<ReleaseId>,
    /// How many workers take the new release before the rollout pauses.
    pub canary: Option<u32>,
    /// Where it stands.
    pub state: State,
    /// Why it failed, as a phrase that begins with the unit's name.
    pub failure: Option<String>,
}

impl Entry {
    /// Whether an operator aborted it.
    pub fn is_aborted(&self) -> bool {
        self.failure.as_deref() == Some(&*Cause::Aborted.to_string())
    }

    /// Notes that an operator aborts it. Without a release to go back to, it ends now, in microseconds since
    /// the Unix epoch.
    pub(crate) fn abort(&mut self, now_usec: u64) {
        if self.state == State::Restoring {
            return;
        }
        self.failure = Some(Cause::Aborted.to_string());
        if self.from.is_some() {
            self.state = State::Restoring;
        } else {
            self.state = State::Aborted;
            self.ended_usec = Some(now_usec);
        }
    }

    fn past(&self) -> Past<'_, ReleaseId> {
        Past {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            is_done: self.state == State::Done,
            is_way_back: matches!(self.kind, Kind::Rollback | Kind::Undo),
        }
    }
}

/// All rollouts that are known.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The newest last. Readers share it.
    entries: Arc<Vec<Entry>>,
    /// The entry that the latest one marked as interrupted, as it was before.
    stale: Option<Entry>,
}

/// How many rollouts are kept.
const ENTRIES_KEPT: usize = 100;

impl History {
    /// A history with these entries, the newest last.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries: Arc::new(entries), stale: None }
    }

    /// All rollouts that are known, the newest last.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All rollouts, as they are now, to be shared with readers.
    pub fn shared(&self) -> Arc<Vec<Entry>> {
        Arc::clone(&self.entries)
    }

    /// Notes that a rollout begins. If the last one has not ended, it is interrupted.
    pub fn begin(&mut self, entry: Entry) {
        let begun = entry.begun_usec;
        let entries = Arc::make_mut(&mut self.entries);
        self.stale = entries.last().filter(|last| !last.state.has_ended()).cloned();
        if let Some(stale) = entries.last_mut().filter(|last| !last.state.has_ended()) {
            stale.state = State::Interrupted;
            stale.ended_usec = Some(begun);
        }
        entries.push(entry);
        while entries.len() > ENTRIES_KEPT {
            // A rollout that brought another release is kept: it says which release is the way back.
            let at = entries[..ENTRIES_KEPT].iter().position(|entry| entry.from.is_none()).unwrap_or(0);
            entries.remove(at);
        }
    }

    /// Forgets this rollout, because it could not be written down or was not to be. The rollout that it
    /// interrupted goes on.
    pub fn forget(&mut self, id: u64) {
        let entries = Arc::make_mut(&mut self.entries);
        entries.retain(|entry| entry.id != id);
        if let (Some(stale), Some(last)) = (self.stale.take(), entries.last_mut())
            && stale.id == last.id
        {
            *last = stale;
        }
    }

    /// Notes what has changed about a rollout. An unknown id changes nothing.
    pub fn amend(&mut self, id: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = Arc::make_mut(&mut self.entries).iter_mut().rev().find(|entry| entry.id == id) {
            change(entry);
        }
    }

    /// The rollout with this id.
    pub fn find(&self, id: u64) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.id == id)
    }

    /// The last rollout, if it has not ended.
    pub fn unfinished(&self) -> Option<&Entry> {
        self.entries.last().filter(|entry| !entry.state.has_ended())
    }

    /// What the rollouts say about releases.
    pub fn lineage(&self) -> Lineage<'_, ReleaseId> {
        self.entries.iter().map(Entry::past).collect()
    }
}
