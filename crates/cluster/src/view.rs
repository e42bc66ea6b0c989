//! What callers see of the cluster at one moment.

use std::sync::Arc;

use names::Instance;

use crate::history::{Entry, Kind};
use crate::release::ReleaseId;

/// The cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// What `systemctl status` shows, and the current release.
    pub properties: Properties,
    /// Every worker, by instance.
    pub workers: Vec<Worker>,
    /// The rollout under way, or the last one.
    pub rollout: Option<Rollout>,
    /// The rollouts of the past, the newest last.
    pub history: Arc<Vec<Entry>>,
}

/// The properties whose changes the bus announces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// The cluster in one sentence.
    pub summary: String,
    /// The current release. Empty if there is none.
    pub release: String,
    /// How many workers are wanted.
    pub desired: u32,
    /// How many of them are ready.
    pub ready: u32,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It sent READY=1, and is active.
    Ready,
    /// Its process runs but has not sent READY=1, or systemd is about to start it.
    Starting,
    /// It drains.
    Stopping,
    /// It failed, and systemd does not restart it.
    Failed,
    /// It kept ending, and is stopped for a while.
    Flapping,
    /// It does not run because an operator stopped it.
    Stopped,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Which one.
    pub instance: Instance,
    /// What it is doing.
    pub state: WorkerState,
    /// systemd's `SubState`.
    pub sub_state: String,
    /// Its main process. 0 if there is none.
    pub pid: u32,
    /// The release that its process runs.
    pub release: Option<ReleaseId>,
    /// When it became ready, in microseconds since the Unix epoch. 0 if it is not.
    pub ready_since_usec: u64,
    /// How often systemd has restarted it.
    pub restarts: u32,
    /// When a flapping worker is started again, in microseconds since the Unix epoch. 0 if it does not wait
    /// for that.
    pub next_try_usec: u64,
    /// How its last process ended. Empty if none has.
    pub last_exit: String,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in the interface on the bus")]
pub enum RolloutState {
    Queued,
    Running,
    Paused,
    Done,
    Restored,
    Failed,
    Aborted,
    Refused,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its id.
    pub id: u64,
    /// What was asked for.
    pub kind: Kind,
    /// Who asked.
    pub by: String,
    /// Where it stands.
    pub state: RolloutState,
    /// The release that the workers had before.
    pub from: Option<ReleaseId>,
    /// The release that they are to have.
    pub to: Option<ReleaseId>,
    /// The workers, in the order of the plan.
    pub steps: Vec<Step>,
    /// What is happening, or how it ended.
    pub message: String,
    /// The worker that failed.
    pub failure: Option<Failure>,
    /// How long one step may take, in microseconds.
    pub step_timeout_usec: u64,
    /// When it has to be over, in microseconds since the Unix epoch. 0 while it waits, and at its end.
    pub deadline_usec: u64,
}

/// One worker's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The worker.
    pub instance: Instance,
    /// How far it is.
    pub state: crate::step::StepState,
    /// Whether it is beyond the wanted number, for this rollout only.
    pub is_surge: bool,
    /// When it has to be over, in microseconds since the Unix epoch. 0 if it is not under way.
    pub deadline_usec: u64,
}

/// Why a rollout failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The worker.
    pub instance: Instance,
    /// Why, as a phrase that follows the unit's name.
    pub reason: String,
    /// Its last log lines.
    pub journal: Vec<String>,
}
