//! What the orchestrator learns: from systemd, from the disk, from operators.

use names::Instance;

use crate::accept::Waiting;
use crate::effect::Token;
use crate::history::Entry;
use crate::info::{Change, UnitInfo};
use crate::ledger::Ledger;
use crate::numbers::Compared;
use crate::order::Order;
use crate::release::ReleaseId;
use crate::settings::Settings;
use crate::unit::{ActiveState, InvocationId, JobId, JobResult};

/// Something that happened.
///
/// Whatever systemd says, in a signal or an answer, comes in the order in which systemd said it. So a later
/// input is always newer.
#[derive(Debug)]
pub enum Input {
    /// The bus is there, for the first time or again. No signal came before this.
    Connected,
    /// The bus is gone. All calls under way are answered now, with [`Unanswered`](EnqueueError::Unanswered)
    /// or an error.
    Disconnected,
    /// A signal of systemd.
    Signal(Signal),
    /// The answer to the effect with this token.
    Answer(Token, Answer),
    /// A call over the bus. Its answer carries this number.
    Request(Caller, Request),
    /// SIGHUP or SIGUSR2.
    ReloadSignal,
    /// SIGTERM.
    Terminate,
    /// The time that [`Cluster::next_wake`](crate::Cluster::next_wake) asked for has come, or another.
    Wake,
}

/// A signal of systemd.
#[derive(Debug)]
pub enum Signal {
    /// Some properties of a worker's unit changed, whichever instance it is.
    Changed(Instance, Box<Change>),
    /// A job of a worker's unit ended.
    JobRemoved(Instance, JobId, JobResult),
    /// PID 1 has read the unit files again.
    Reloaded,
    /// PID 1 has re-executed itself. Signals may have been missed, and PID 1 sends none until the
    /// orchestrator subscribes again.
    Reexecuted,
}

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u64);

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A rollout. The answer is its id, and comes when the rollout begins or is queued.
    Roll(Order),
    /// Whether all workers run this release, and no rollout is under way or waits.
    IsInPlace(ReleaseId),
    /// Whether a new release may take this name from one that did not come into use.
    MayReplace {
        /// The name.
        id: ReleaseId,
        /// The last rollout to the release that has the name now was given up.
        is_rejected: bool,
        /// That release was deployed. The package did not bring it.
        is_deployed: bool,
    },
    /// The rollout is to take no further worker.
    Pause,
    /// The rollout is to go on.
    Resume,
    /// The rollout of this id is to be undone or withdrawn. 0 is the one under way.
    Abort(u64),
    /// The configuration is to be read again.
    Reconfigure,
}

/// The answer to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The rollout's id.
    Rollout(u64),
    /// Yes or no.
    Is(bool),
    /// It is done.
    Done,
    /// This many workers are wanted.
    Wanted(u32),
}

/// Why a request is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration is invalid. The text names file, line and column.
    Configuration(String),
    /// A condition for the request does not hold.
    Refused(String),
    /// The cluster is being stopped.
    ShuttingDown(String),
    /// There is no release of this name, or none to go back to.
    NoSuchRelease(String),
    /// There is no rollout to pause, resume or abort.
    NoRollout(String),
}

impl Refusal {
    /// What happened.
    pub fn message(&self) -> &str {
        match self {
            Self::Configuration(message)
            | Self::Refused(message)
            | Self::ShuttingDown(message)
            | Self::NoSuchRelease(message)
            | Self::NoRollout(message) => message,
        }
    }
}

/// The answer to an effect. An error is a phrase for operators: what failed, and why.
#[derive(Debug)]
pub enum Answer {
    /// The units of workers that systemd has loaded. Then the names of others that look like one and are none
    /// (`worker@03.service`).
    Listed(Result<(Vec<Instance>, Vec<String>), String>),
    /// The state of a worker's unit.
    Inspected(Result<Box<UnitInfo>, String>),
    /// Whether systemd accepted the job.
    Enqueued(Result<JobId, EnqueueError>),
    /// The socket.
    Socket(Result<SocketState, String>),
    /// The job that systemd has for the orchestrator's own unit.
    OwnJob(Result<OwnJob, String>),
    /// Whether systemd restarted the orchestrator by itself, after another one had failed.
    WasRestarted(Result<bool, String>),
    /// Whether it is done.
    Done(Result<(), String>),
    /// What is on disk.
    Opened(Box<Opened>),
    /// The configuration, or what is wrong with it.
    Settings(Result<Settings, String>),
    /// The releases, and whether a rollout could begin.
    Surveyed(Result<Box<Survey>, String>),
    /// What a worker that has settled and the old ones answered meanwhile, or why that is not known.
    Compared(Result<Compared, String>),
    /// The last output of a failed worker.
    LastWords(LastWords),
    /// Whether the last job of a worker was a stop.
    WasStopped(bool),
    /// Why a unit failed, as systemd says.
    FailureOf(Option<String>),
    /// What waits to be accepted. `None` if that cannot prove that no worker accepts: the queue of some
    /// listener is empty, a process holds a connection that it has accepted, or a listener is not TCP.
    Queues(Result<Option<Waiting>, String>),
}

/// Why a job was not enqueued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnqueueError {
    /// systemd or polkit refused. The text is theirs.
    Refused(String),
    /// No answer came. systemd may have the job, or not.
    Unanswered(String),
}

/// The job that systemd has for the orchestrator's own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnJob {
    /// None.
    None,
    /// A stop.
    Stop,
    /// Another job, for instance a restart.
    Other,
}

/// The shared socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketState {
    /// Its state.
    pub active: ActiveState,
    /// Whether it is masked.
    pub is_masked: bool,
    /// The addresses that the unit names, but on which systemd does not listen.
    pub missing: Vec<String>,
    /// Whether systemd listens on at least one address, as far as can be known.
    pub has_any: bool,
}

impl SocketState {
    /// Whether a worker that starts now gets a listener.
    pub fn listens(&self) -> bool {
        self.active == ActiveState::Active && self.has_any
    }
}

/// What is on disk when the orchestrator starts.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// The rollouts of the past, the newest last.
    pub history: Vec<Entry>,
    /// What the predecessor knew.
    pub ledger: Ledger,
    /// The release to which each instance's link points.
    pub links: Vec<(Instance, ReleaseId)>,
}

/// The releases on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The release that the link names.
    pub current: Option<ReleaseId>,
    /// All releases, the oldest first.
    pub releases: Vec<Found>,
    /// The release that the package brings, or why it could not be made a release. None if it is the current
    /// release, or if the current release is not a package's.
    pub packaged: Option<Result<ReleaseId, String>>,
    /// The id of this boot, or why it is not known. Monotonic times of one boot have no meaning in another.
    pub boot_id: Result<String, String>,
}

/// A release on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub id: ReleaseId,
    /// The last rollout to it was given up.
    pub is_rejected: bool,
    /// Whether workers could execute it now, or why not.
    pub runnable: Result<(), String>,
}

/// The last output of a failed worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords {
    /// Its last lines, the oldest first. They are bounded, and have no control characters.
    pub lines: Vec<String>,
    /// systemd got a notification that did not come from the worker's main process.
    pub is_unheard: bool,
}

/// The worker whose last output is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The worker.
    pub instance: Instance,
    /// The run of its unit, if that is known.
    pub invocation: Option<InvocationId>,
    /// The main process of that run; 0 if it is not known. When journald is late, it may count a line towards
    /// the unit's next run.
    pub pid: u32,
    /// Since when, in microseconds since the Unix epoch.
    pub since_usec: u64,
    /// What systemd is asked about the worker besides.
    pub about: About,
}

/// What systemd is asked about a failed worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Nothing.
    Nothing,
    /// Whether systemd got a notification from a process other than the main one.
    Unheard,
    /// Why the program was not executed. In this case systemd's own lines are the last output.
    NotExecuted,
}
