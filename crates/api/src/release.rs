//! Releases and the history of rollouts, as they cross the bus.

use serde::{Deserialize, Serialize};
use zbus::Type;

/// A release on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Release {
    /// Its name.
    pub id: String,
    /// The directory it was deployed from and executes; empty for one that was copied.
    pub directory: String,
    /// When it was added, in microseconds since the Unix epoch.
    pub added_usec: u64,
    /// Whether a worker started now would run it.
    pub is_current: bool,
    /// Whether the last rollout to it was given up.
    pub is_rejected: bool,
    /// How many workers run it.
    pub workers: u32,
}

/// A rollout of the past, or the one under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Entry {
    /// The rollout's id.
    pub rollout: u64,
    /// What asked for it.
    pub kind: Kind,
    /// Who asked for it.
    pub by: String,
    /// The release before; empty when there was none.
    pub from: String,
    /// The release it was to bring; equal to `from` when workers were only restarted.
    pub to: String,
    /// When it began, in microseconds since the Unix epoch.
    pub begun_usec: u64,
    /// When it ended, in microseconds since the Unix epoch; 0 when it has not.
    pub ended_usec: u64,
    /// Where it stands or how it ended.
    pub state: EntryState,
    /// What failed, as a sentence; empty if nothing did.
    pub failure: String,
}

/// What asked for a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A reload that found no new release: the workers were restarted.
    Reload,
    /// A reload that found a new release in the package.
    Package,
    /// `app-cluster deploy`.
    Deploy,
    /// `app-cluster rollback`.
    Rollback,
    /// The orchestrator itself: a majority of the workers flapped after a rollout.
    Undo,
    /// Workers asked to be replaced.
    Recycle,
}

/// Where a rollout of the history stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// Under way.
    Running,
    /// Under way, waiting for somebody to resume or abort it.
    Paused,
    /// On the way back to the old release.
    Restoring,
    /// Every worker was replaced.
    Done,
    /// A worker failed, and the old release is back everywhere.
    Restored,
    /// A worker failed and the cluster was not whole at the end.
    Failed,
    /// Ended on request.
    Aborted,
    /// The machine or the cluster was stopped in the middle of it.
    Interrupted,
}

impl EntryState {
    /// Whether nothing more happens.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Running | Self::Paused | Self::Restoring)
    }
}
