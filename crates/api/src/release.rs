//! Releases and the history of rollouts, as the bus carries them.

use serde::{Deserialize, Serialize};
use zbus::Type;

use crate::dictionary::{dictionary, words};

words!(Kind EntryState);

/// A release on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name.
    pub id: String,
    /// The directory that it was deployed from and executes in place. Empty if the release is a copy.
    pub directory: String,
    /// When the release was added, in microseconds since the Unix epoch.
    pub added_usec: u64,
    /// Whether a worker started now would run it.
    pub is_current: bool,
    /// Whether the last rollout to it failed or was undone. An abort does not count.
    pub is_rejected: bool,
    /// How many workers run it.
    pub workers: u32,
}

dictionary!(Release { id, directory, added_usec, is_current, is_rejected, workers });

/// A past rollout, or the running one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The rollout's id.
    pub rollout: u64,
    /// What caused it.
    pub kind: Kind,
    /// Who asked for it.
    pub by: String,
    /// The release before the rollout. Empty if there was none.
    pub from: String,
    /// The release that the workers were to run. Equal to `from` if the rollout only restarted workers.
    pub to: String,
    /// When the rollout began, in microseconds since the Unix epoch.
    pub begun_usec: u64,
    /// When the rollout ended, in microseconds since the Unix epoch. 0 if it has not ended.
    pub ended_usec: u64,
    /// How far the rollout is, or how it ended.
    pub state: EntryState,
    /// What failed, as a sentence. Empty if nothing failed.
    pub failure: String,
}

dictionary!(Entry { rollout, kind, by, from, to, begun_usec, ended_usec, state, failure });

/// What caused a rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A value that this version does not know.
    #[default]
    Unknown,
    /// A reload that found no new release: the workers were restarted.
    Reload,
    /// A reload that found a new release in the package.
    Package,
    /// `app-cluster deploy`.
    Deploy,
    /// `app-cluster rollback`.
    Rollback,
    /// The orchestrator undid a rollout because a majority of the workers flapped after it.
    Undo,
    /// Workers requested their own replacement.
    Recycle,
}

/// The state of a rollout in the history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// A value that this version does not know.
    #[default]
    Unknown,
    /// The rollout runs.
    Running,
    /// The rollout waits until an operator resumes or aborts it.
    Paused,
    /// The workers go back to the old release.
    Restoring,
    /// Every worker was replaced.
    Done,
    /// A worker failed, and all workers run the old release again.
    Restored,
    /// A worker failed. At the end releases were mixed, or a worker was not ready.
    Failed,
    /// An operator aborted it.
    Aborted,
    /// The machine or the cluster was stopped during the rollout.
    Interrupted,
}

impl EntryState {
    /// Whether the rollout is over. A later version adds no final state, so an unknown state is not final.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Unknown | Self::Running | Self::Paused | Self::Restoring)
    }
}
