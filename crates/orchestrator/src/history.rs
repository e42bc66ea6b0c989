//! Which rollouts there were, who asked for them and how they ended; and what the one that runs intends.
//!
//! ```text
//! {"id":1795347605123,"begun_usec":1795347605130000,…,"kind":"deploy","by":"root","from":"1.2.0","to":"blog-7",…}
//! ```
//!
//! One JSON object per line, the newest last. A rollout is written down before the first worker is touched, and
//! again whenever it pauses, turns back or ends: an orchestrator that finds its last entry unfinished knows what its
//! predecessor was doing when it died. The file is replaced as a whole, so that a power cut leaves the old or the new.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use api::{EntryState as State, Kind};
use rollout::lineage::{Lineage, Past};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::releases::ReleaseId;

/// One rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The rollout's id, the same as on the bus.
    pub(crate) id: u64,
    /// When it began, in microseconds since the Unix epoch.
    pub(crate) begun_usec: u64,
    /// When it began, by CLOCK_MONOTONIC in microseconds: workers that started later in the same boot are replaced.
    pub(crate) begun_monotonic_usec: u64,
    /// The boot in which it began; in another boot the monotonic time says nothing.
    pub(crate) boot_id: String,
    /// When it ended, in microseconds since the Unix epoch.
    pub(crate) ended_usec: Option<u64>,
    /// What was asked for.
    pub(crate) kind: Kind,
    /// Who asked for it.
    pub(crate) by: String,
    /// The release the workers ran before; none if there was none, or if it stayed.
    pub(crate) from: Option<ReleaseId>,
    /// The release they are brought to; none if there is none.
    pub(crate) to: Option<ReleaseId>,
    /// How many workers take the new release before the rollout pauses.
    pub(crate) canary: Option<u32>,
    /// Where it stands.
    pub(crate) state: State,
    /// Why it did not go through, as a phrase that begins with the unit's name.
    pub(crate) failure: Option<String>,
}

/// The file and what is in it.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    /// Shared with the snapshot.
    entries: Arc<Vec<Entry>>,
}

/// Older rollouts are forgotten.
const ENTRIES_KEPT: usize = 100;

impl History {
    /// Reads the file. What cannot be understood is left out, told, and kept in a file beside it (`….damaged`).
    pub(crate) fn open(path: PathBuf) -> Self {
        let mut history = Self { path, entries: Arc::default() };
        match fs::read(&history.path) {
            Ok(content) => history.parse(&content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let (path, kept) = (history.path.display(), history.damaged());
                tracing::error!("failed to read {path}: {error}; the rollouts before now are not known");
                // The next rollout is written to its place.
                if let Err(error) = fs::rename(&history.path, &kept) {
                    tracing::warn!("failed to keep it as {}: {error}; it may get lost", kept.display());
                }
            }
        }
        history
    }

    /// All rollouts that are known, the newest last.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The same, as they are now.
    pub(crate) fn shared(&self) -> Arc<Vec<Entry>> {
        Arc::clone(&self.entries)
    }

    /// Writes down that a rollout is about to begin. After an error nothing has changed, and it must not.
    pub(crate) fn begin(&mut self, entry: Entry) -> io::Result<()> {
        let mut entries = Vec::clone(&self.entries);
        entries.push(entry);
        while entries.len() > ENTRIES_KEPT {
            // Those that brought another release say which is the way back.
            let at = entries[..ENTRIES_KEPT].iter().position(|entry| entry.from.is_none()).unwrap_or(0);
            entries.remove(at);
        }
        self.save(&entries)?;
        self.entries = Arc::new(entries);
        Ok(())
    }

    /// Writes down where a rollout stands now.
    ///
    /// A failure and an end that are known already stay when none is given. After an error the file tells the state
    /// before, and [`entries`](Self::entries) the state now; whatever is written next brings both together.
    pub(crate) fn update(
        &mut self,
        id: u64,
        state: State,
        failure: Option<String>,
        ended_usec: Option<u64>,
    ) -> io::Result<()> {
        self.amend(id, |entry| {
            entry.state = state;
            entry.failure = failure.or(entry.failure.take());
            entry.ended_usec = ended_usec.or(entry.ended_usec);
        })
    }

    /// Writes down whatever has changed about a rollout, with the same promise.
    pub(crate) fn amend(&mut self, id: u64, change: impl FnOnce(&mut Entry)) -> io::Result<()> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no rollout {id} in the history"));
        let entries = Arc::make_mut(&mut self.entries);
        change(entries.iter_mut().rev().find(|entry| entry.id == id).ok_or_else(unknown)?);
        self.save(&self.entries)
    }

    /// The last rollout, if it has not come to its end.
    pub(crate) fn unfinished(&self) -> Option<&Entry> {
        self.entries.last().filter(|entry| !entry.state.has_ended())
    }

    /// What the rollouts say about releases.
    pub(crate) fn lineage(&self) -> Lineage<'_, ReleaseId> {
        self.entries.iter().map(Entry::past).collect()
    }

    fn parse(&mut self, content: &[u8]) {
        let mut damaged = 0;
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(entry) => Arc::make_mut(&mut self.entries).push(entry),
                Err(error) => {
                    damaged += 1;
                    tracing::warn!("{}: {error} in a line; this rollout is not known", self.path.display());
                }
            }
        }
        if damaged == 0 {
            return;
        }
        let kept = self.damaged();
        match disk::write_atomically(&kept, content) {
            Ok(()) => tracing::warn!("{damaged} lines are damaged; the file as it was is {}", kept.display()),
            Err(error) => {
                tracing::warn!("failed to write {}: {error}; damaged lines get lost", kept.display());
            }
        }
    }

    fn save(&self, entries: &[Entry]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        disk::write_atomically(&self.path, &text)
    }

    fn damaged(&self) -> PathBuf {
        self.path.with_extension("damaged")
    }
}

impl Entry {
    fn past(&self) -> Past<'_, ReleaseId> {
        Past {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
            is_done: self.state == State::Done,
            is_way_back: matches!(self.kind, Kind::Rollback | Kind::Undo),
        }
    }
}

impl From<&Entry> for api::Entry {
    fn from(entry: &Entry) -> Self {
        let name = |id: Option<&ReleaseId>| id.map(ToString::to_string).unwrap_or_default();
        Self {
            rollout: entry.id,
            kind: entry.kind,
            by: entry.by.clone(),
            from: name(entry.from.as_ref().or(entry.to.as_ref())),
            to: name(entry.to.as_ref()),
            begun_usec: entry.begun_usec,
            ended_usec: entry.ended_usec.unwrap_or_default(),
            state: entry.state,
            failure: entry.failure.clone().unwrap_or_default(),
        }
    }
}
