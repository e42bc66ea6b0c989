//! The status of a cluster and of a rollout, as the bus carries them. D-Bus has no null, so an absent value
//! is an empty array, an empty string or 0.

use serde::{Deserialize, Serialize};
use zbus::Type;

use crate::Kind;
use crate::dictionary::{dictionary, words};

words!(WorkerState RolloutState StepState);

/// One snapshot of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The cluster's name, `app-cluster`.
    pub cluster: String,
    /// The version of the package that was installed when the orchestrator started.
    pub version: String,
    /// The sentence that `systemctl status app-cluster` shows: `4 of 4 ready, release 1.2.0`.
    pub summary: String,
    /// The release that a worker started now would run.
    pub release: String,
    /// The wanted number of workers.
    pub desired: u32,
    /// How many workers have sent READY=1 and are active.
    pub ready: u32,
    /// Every worker, by instance number.
    pub workers: Vec<Worker>,
    /// The running rollout, or the last one that ended. Empty if there was none since the orchestrator
    /// started.
    pub rollout: Vec<Rollout>,
}

dictionary!(Status { cluster, version, summary, release, desired, ready, workers, rollout });

/// One worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The instance number: 3 for `worker@3.service`.
    pub instance: u32,
    /// The unit's name.
    pub unit: String,
    /// What the worker is doing.
    pub state: WorkerState,
    /// systemd's own `SubState`, which distinguishes more states than [`WorkerState`].
    pub sub_state: String,
    /// The id of the main process. 0 if there is none.
    pub pid: u32,
    /// The release that the process runs. Empty if there is no process.
    pub release: String,
    /// When the worker became ready, in microseconds since the Unix epoch. 0 if it is not ready.
    pub ready_since_usec: u64,
    /// How often systemd has restarted it automatically (`NRestarts`).
    pub restarts: u32,
    /// When the orchestrator starts a flapping worker again, in microseconds since the Unix epoch. 0 if the
    /// worker does not wait for that.
    pub next_try_usec: u64,
    /// How its last process ended, as a phrase: `killed by SIGKILL`, `exited with status 1`. Empty if none
    /// has ended.
    pub last_exit: String,
}

dictionary!(Worker {
    instance,
    unit,
    state,
    sub_state,
    pid,
    release,
    ready_since_usec,
    restarts,
    next_try_usec,
    last_exit,
});

/// What a worker is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum WorkerState {
    /// A value that this version does not know.
    #[default]
    Unknown,
    /// The worker has sent READY=1 and is active.
    Ready,
    /// Its process runs but has not sent READY=1, or systemd is about to start it.
    Starting,
    /// It drains.
    Stopping,
    /// It failed, and systemd does not restart it.
    Failed,
    /// It ended again and again, so it is stopped for a while. The orchestrator starts it again at
    /// [`Worker::next_try_usec`].
    Flapping,
    /// It does not run because an operator stopped it.
    Stopped,
}

/// A rollout: which workers it replaces, how far it is, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its id: the time of the request, in milliseconds since the Unix epoch. It is unique on this machine.
    pub id: u64,
    /// What caused it.
    pub kind: Kind,
    /// Who asked for it.
    pub by: String,
    /// How far it is, or how it ended.
    pub state: RolloutState,
    /// The release that the workers ran before.
    pub from: String,
    /// The release that the workers get. Equal to `from` if they are only restarted.
    pub to: String,
    /// One entry per worker, in the order in which the rollout replaces them.
    pub steps: Vec<Step>,
    /// What is happening now, or how the rollout ended, as a sentence.
    pub message: String,
    /// The worker that failed. Empty, or one entry.
    pub failure: Vec<Failure>,
    /// The longest time that a step can take, in microseconds. A client with a time limit of its own may
    /// extend it by this much at each signal.
    pub step_timeout_usec: u64,
    /// When the whole rollout has to be over, in microseconds since the Unix epoch. 0 while it is paused, and
    /// after it has ended.
    pub deadline_usec: u64,
}

dictionary!(Rollout {
    id,
    kind,
    by,
    state,
    from,
    to,
    steps,
    message,
    failure,
    step_timeout_usec,
    deadline_usec,
});

/// The state of a rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// A value that this version does not know.
    #[default]
    Unknown,
    /// It has not begun: it waits for the rollout before it, or for an answer of systemd, polkit or the disk.
    Queued,
    /// The orchestrator replaces workers, or puts them back on the old release.
    Running,
    /// The rollout takes no further worker until an operator resumes or aborts it.
    Paused,
    /// Every worker was replaced.
    Done,
    /// A worker failed, and every worker is ready on the release that it ran before.
    Restored,
    /// A worker failed. Now releases are mixed, or a worker is not ready.
    Failed,
    /// An operator aborted it. Every worker is ready on the release that it ran before, or on its way there.
    Aborted,
    /// It waited for the rollout before it, and then could not begin. Nothing was changed.
    Refused,
}

impl RolloutState {
    /// Whether the rollout is over. A later version adds no final state, so an unknown state is not final.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Unknown | Self::Queued | Self::Running | Self::Paused)
    }
}

/// One worker's part of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The instance number.
    pub instance: u32,
    /// How far the step is.
    pub state: StepState,
    /// Whether the worker runs only during the rollout, in addition to the wanted number.
    pub is_surge: bool,
    /// When this step has to be over, in microseconds since the Unix epoch. 0 if it is not running.
    pub deadline_usec: u64,
}

dictionary!(Step { instance, state, is_surge, deadline_usec });

/// The state of one worker's replacement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[zbus(signature = "s")]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// A value that this version does not know.
    #[default]
    Unknown,
    /// The rollout has not touched the worker yet.
    Waiting,
    /// The old process drains, if there is one, and the new process starts.
    Restarting,
    /// The worker is ready, and has to stay ready for the settle time.
    Settling,
    /// The worker is replaced.
    Done,
    /// The new process failed.
    Failed,
    /// The worker goes back to the old release.
    Restoring,
    /// The worker is back on the old release.
    Restored,
    /// The rollout skips the worker because an operator stopped it.
    Skipped,
    /// The rollout no longer needs this surge worker, so the worker drains.
    Stopping,
    /// This surge worker has stopped.
    Stopped,
}

/// Why a rollout failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The instance number of the worker that failed.
    pub instance: u32,
    /// Its unit.
    pub unit: String,
    /// The reason, as a phrase that follows the unit's name: `exited with status 1 before it was ready`.
    pub reason: String,
    /// The last lines that the process wrote to the journal, oldest first.
    pub journal: Vec<String>,
}

dictionary!(Failure { instance, unit, reason, journal });
