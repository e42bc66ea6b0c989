//! What the orchestrator does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use names::Instance;

use crate::history::Entry;
use crate::input::{Caller, Refusal, Reply, Speaker};
use crate::ledger::Ledger;
use crate::release::ReleaseId;
use crate::view;

/// Ties an answer to its effect. No token is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(crate) u64);

/// Something to be done. Effects are begun in the order in which they come. One with a token is answered
/// once, in bounded time. Effects of one kind (calls, disk) take effect in their order. Different kinds do
/// not wait for one another.
#[derive(Debug)]
pub enum Effect {
    /// Call systemd.
    Call(Token, Call),
    /// Change or read the disk.
    Disk(Token, Disk),
    /// Note what these workers have counted so far, each given with its main process. The first is the one
    /// that settles.
    BeginCount(Vec<(Instance, u32)>),
    /// Compare what they have counted now with what was noted:
    /// [`Answer::Compared`](crate::input::Answer::Compared). The note stays for another reading.
    Compare(Token, Vec<(Instance, u32)>),
    /// Drop what was noted for this worker.
    EndCount(Instance),
    /// Read the last output of a failed worker: [`Answer::LastWords`](crate::input::Answer::LastWords).
    LastWords(Token, Speaker),
    /// Read why the socket failed most recently: [`Answer::FailureOf`](crate::input::Answer::FailureOf).
    WhySocketFailed(Token),
    /// Read whether the last job of this worker was a stop:
    /// [`Answer::WasStopped`](crate::input::Answer::WasStopped).
    WasStopped(Token, Instance),
    /// Look which connections wait to be accepted: [`Answer::Queues`](crate::input::Answer::Queues).
    LookAtQueues(Token),
    /// Answer a caller.
    Reply(Caller, Result<Reply, Refusal>),
    /// Accept calls on the bus from now on.
    Serve,
    /// Tell clients how far a rollout is.
    Announce(Box<view::Rollout>),
    /// Tell clients what has changed.
    Properties(view::Properties),
    /// READY=1.
    Ready,
    /// STATUS=.
    Status(String),
    /// EXTEND_TIMEOUT_USEC=.
    Extend(Duration),
    /// A line in the log.
    Log(Box<Line>),
    /// Exit, as soon as all that was asked of the disk is done. The workers go on, or are stopped.
    Exit,
    /// Exit with a failure, for this reason. systemd starts the orchestrator again.
    Fail(String),
}

/// What the orchestrator asks systemd for, over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Which units of workers are loaded: `Listed`.
    List,
    /// The state of a worker's unit: `Inspected`.
    Inspect(Instance),
    /// Enqueue a job that starts a worker, or restarts one that runs: `Enqueued`.
    Restart(Instance),
    /// Enqueue a job that stops a worker: `Enqueued`.
    Stop(Instance),
    /// Ask PID 1 to send signals again, after it has re-executed itself: `Done`.
    Subscribe,
    /// The state of the socket: `Socket`. This also restores the length of its queue, which a worker may have
    /// changed.
    Socket,
    /// Which job systemd has for the orchestrator's own unit: `OwnJob`.
    OwnJob,
    /// Whether `Restart=` started the orchestrator: `WasRestarted`.
    WasRestarted,
    /// Enqueue a job that restarts the socket, the workers and the orchestrator: `Done`.
    RestartTarget,
}

/// What is read from the disk, or changed there. A change is answered when it is durable. A change that fails
/// has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disk {
    /// What the predecessor left: `Opened`.
    Open,
    /// The configuration: `Settings`.
    Settings,
    /// The releases: `Surveyed`. This does not wait for other work on the disk.
    Survey {
        /// Whether to make a release of what the package brings, if that is needed.
        stages_package: bool,
        /// The current release, whatever the link says. None if it is not known.
        current: Option<ReleaseId>,
    },
    /// Write the rollouts of the past: `Done`.
    History(Arc<Vec<Entry>>),
    /// Write the ledger: `Done`.
    Ledger(Ledger),
    /// Set the release that an instance executes from now on: `Done`.
    Point(Instance, ReleaseId),
    /// Set the release that is current from now on: `Done`.
    MakeCurrent(ReleaseId),
    /// Mark a release, because a rollout to it was given up: `Done`.
    Reject(ReleaseId),
    /// Remove that mark: `Done`.
    Accept(ReleaseId),
    /// Remove these releases, unless a release is being made just now: `Done`.
    Remove(Vec<ReleaseId>),
    /// Remove the links of instances that are not among these: `Done`.
    Unlink(BTreeSet<Instance>),
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For information.
    Info,
    /// Something is not as it should be.
    Warn,
    /// An operator has to act.
    Error,
}

/// A line that the message catalog explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalogued {
    /// A rollout succeeded.
    RolloutDone,
    /// A rollout failed.
    RolloutFailed,
    /// A worker keeps ending.
    WorkerFlaps,
    /// The orchestrator undoes a rollout, because workers flap or accept nothing.
    RolloutUndone,
}

/// A line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its entry in the catalog.
    pub catalogued: Option<Catalogued>,
    /// The rollout that it is about.
    pub rollout: Option<u64>,
    /// The worker that it is about.
    pub worker: Option<Instance>,
    /// What was being done, in one word.
    pub step: Option<&'static str>,
    /// The outcome.
    pub result: Option<String>,
    /// The text.
    pub text: String,
}
