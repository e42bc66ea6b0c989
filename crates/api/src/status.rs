//! The values that cross the bus. Absent is an empty array or an empty string: D-Bus has no null.

use serde::{Deserialize, Serialize};
use zbus::Type;

use crate::Kind;

/// One snapshot of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Status {
    /// The cluster's name, `app-cluster`.
    pub cluster: String,
    /// The version of the package that was installed when the orchestrator was started.
    pub version: String,
    /// The sentence that `systemctl status app-cluster` shows: `4 of 4 ready, release 1.2.0`.
    pub summary: String,
    /// The release that a worker started now would run.
    pub release: String,
    /// How many workers are wanted.
    pub desired: u32,
    /// How many workers have said READY=1 and are active.
    pub ready: u32,
    /// Every worker, by instance number.
    pub workers: Vec<Worker>,
    /// The running rollout or the last one that ended; empty when there was none since the orchestrator started.
    pub rollout: Vec<Rollout>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Worker {
    /// The instance number: 3 for `worker@3.service`.
    pub instance: u32,
    /// The unit's name.
    pub unit: String,
    /// What the worker is doing.
    pub state: WorkerState,
    /// systemd's own `SubState`, for what [`WorkerState`] does not tell apart.
    pub sub_state: String,
    /// The main process, 0 when there is none.
    pub pid: u32,
    /// The release the process runs; empty when there is no process.
    pub release: String,
    /// When the worker became ready, in microseconds since the Unix epoch; 0 when it is not ready.
    pub ready_since_usec: u64,
    /// How often systemd has restarted it by itself (`NRestarts`).
    pub restarts: u32,
    /// When a flapping worker is started again, in microseconds since the Unix epoch; 0 when it does not wait for that.
    pub next_try_usec: u64,
    /// How its last process ended, as a phrase (`killed by SIGKILL`, `exited with status 1`); empty when none has.
    pub last_exit: String,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum WorkerState {
    /// It said READY=1 and is active.
    Ready,
    /// Its process runs but has not said READY=1, or systemd is about to start it.
    Starting,
    /// It drains.
    Stopping,
    /// It failed and systemd does not restart it.
    Failed,
    /// It kept ending and is stopped for a while; it is started again at [`Worker::next_try_usec`].
    Flapping,
    /// It does not run because somebody stopped it on purpose.
    Stopped,
}

/// A rollout: which workers are replaced, how far it is, how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Rollout {
    /// Its id: milliseconds since the Unix epoch when it was asked for; unique on this machine.
    pub id: u64,
    /// What asked for it.
    pub kind: Kind,
    /// Who asked for it.
    pub by: String,
    /// Where it stands.
    pub state: RolloutState,
    /// The release the workers ran before.
    pub from: String,
    /// The release they are brought to; equal to `from` when only restarted.
    pub to: String,
    /// One entry per worker, in the order in which they are replaced.
    pub steps: Vec<Step>,
    /// What is happening now or how it ended, as a sentence.
    pub message: String,
    /// The worker that failed; empty or one.
    pub failure: Vec<Failure>,
    /// No step takes longer than this, in microseconds: a caller that is timed may ask for this much more at each signal.
    pub step_timeout_usec: u64,
    /// When the whole rollout has to be over, in microseconds since the Unix epoch; 0 while it is paused and once it has ended.
    pub deadline_usec: u64,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// Waiting for the rollout before it.
    Queued,
    /// Workers are being replaced, or put back.
    Running,
    /// No further worker is taken until somebody resumes or aborts it.
    Paused,
    /// Every worker was replaced.
    Done,
    /// A worker failed, and every worker is ready on the release it ran before.
    Restored,
    /// A worker failed and the cluster is not whole: releases are mixed, or a worker is not ready.
    Failed,
    /// Ended on request. Every worker is ready on the release it ran before, or on its way to it.
    Aborted,
    /// It waited for the rollout before it and could not begin then; nothing was changed.
    Refused,
}

impl RolloutState {
    /// Whether nothing more happens.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Paused)
    }
}

/// One worker's part of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Step {
    /// The instance number.
    pub instance: u32,
    /// How far it is.
    pub state: StepState,
    /// Whether the worker is there for the rollout only, beyond the wanted number.
    pub is_surge: bool,
    /// When this step has to be over, in microseconds since the Unix epoch; 0 when it is not under way.
    pub deadline_usec: u64,
}

/// How far one worker's replacement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not touched.
    Waiting,
    /// The old process drains, if there is one, and the new one starts.
    Restarting,
    /// Ready; it has to stay so for the settle time.
    Settling,
    /// Replaced.
    Done,
    /// The new process failed.
    Failed,
    /// Being put back on the old release.
    Restoring,
    /// Back on the old release.
    Restored,
    /// Left out: somebody stopped the worker on purpose.
    Skipped,
    /// A surge worker that is not needed any more and drains.
    Stopping,
    /// A surge worker that has stopped.
    Stopped,
}

/// Why a rollout stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Failure {
    /// The instance number of the worker that failed.
    pub instance: u32,
    /// Its unit.
    pub unit: String,
    /// The reason, as a phrase that follows the unit's name: `exited with status 1 before it was ready`.
    pub reason: String,
    /// The last lines that process wrote to the journal, oldest first.
    pub journal: Vec<String>,
}
