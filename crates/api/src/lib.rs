//! The D-Bus interface `org.appcluster1`: what the orchestrator offers and what its clients call.
//!
//! | member | what it does | who may call it |
//! |---|---|---|
//! | `Status() → Status` | one snapshot of the cluster | everybody |
//! | `Counters() → a(Counters)` | what the workers that count have counted | everybody |
//! | `Releases() → a(Release)` | the releases on disk, newest first | everybody |
//! | `History() → a(Entry)` | the rollouts of the past, newest first | everybody |
//! | `Reload(by) → t` | begins a rollout, or queues one behind the running one; returns its id | root |
//! | `Deploy(file, id, canary, by) → t` | copies a program and rolls to it | root |
//! | `DeployDirectory(path, id, canary, by) → t` | rolls to the program `worker` in a directory | root |
//! | `Rollback(id, by) → t` | rolls to a release that is on disk | root |
//! | `Pause()`, `Resume()` | takes no further worker; goes on | root |
//! | `Abort(rollout)` | goes back to the old release, or withdraws a queued rollout | root |
//! | `Reconfigure() → u` | reads the configuration again and scales to it, without a rollout | root |
//! | properties `Version`, `Summary`, `Release`, `Desired`, `Ready` | see [`Status`]; all but the first announce their changes | everybody |
//! | signal `RolloutChanged(Rollout)` | a rollout took a step or ended | everybody |
//!
//! What begins a rollout returns before it ends. A client subscribes to `RolloutChanged` first, calls the
//! method, and follows the signals that carry the id it was given until the state [has ended](RolloutState::has_ended).

mod counters;
mod release;
mod status;

pub use counters::{Counters, Drained, Latency, Responses, Timeouts};
pub use release::{Entry, EntryState, Kind, Release};
pub use status::{Failure, Rollout, RolloutState, Status, Step, StepState, Worker, WorkerState};

/// The well-known bus name that the orchestrator owns.
pub const BUS_NAME: &str = "org.appcluster1";
/// The path of the one object it serves.
pub const PATH: &str = "/org/appcluster1";

/// What `Deploy` returns instead of a rollout's id when nothing is to be done: the release of this name is a copy of the same
/// file, and all workers run it.
pub const UNCHANGED: u64 = 0;

/// Why the orchestrator refused a call. The D-Bus error names are `org.appcluster1.Error.*`.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.appcluster1.Error")]
pub enum Error {
    /// Anything that D-Bus itself reports.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// The configuration is invalid; the message names file, line and column. Nothing was changed.
    Configuration(String),
    /// A condition for the operation does not hold (the socket is down, the disk is full …). Nothing was changed.
    Refused(String),
    /// The cluster is being stopped; nothing new begins.
    ShuttingDown(String),
    /// There is no release of this name, or none to go back to. Nothing was changed.
    NoSuchRelease(String),
    /// There is no rollout to pause, resume or abort. Nothing was changed.
    NoRollout(String),
}

impl Error {
    /// What happened, without the D-Bus name of the error.
    pub fn message(&self) -> String {
        match self {
            Self::Configuration(message)
            | Self::Refused(message)
            | Self::ShuttingDown(message)
            | Self::NoSuchRelease(message)
            | Self::NoRollout(message) => message.clone(),
            Self::ZBus(error) => error.to_string(),
        }
    }
}

/// The client's side of the interface.
///
/// `by` is who asked, as the history shows it: `alice`, `systemctl reload`. An empty `id` lets the
/// orchestrator choose. `canary` is how many workers take the new release before the rollout waits for
/// [`resume`](ClusterProxy::resume) or [`abort`](ClusterProxy::abort); 0 is no canary.
#[zbus::proxy(
    interface = "org.appcluster1",
    default_service = "org.appcluster1",
    default_path = "/org/appcluster1"
)]
pub trait Cluster {
    /// One snapshot of the cluster. In a tuple, for the reply holds one struct: of a struct that is returned as it is
    /// zbus makes as many arguments as it has fields, whatever introspection says.
    fn status(&self) -> Result<(Status,), Error>;
    /// What the workers have counted, by instance number. One that does not count on the scoreboard is not in it.
    fn counters(&self) -> Result<Vec<Counters>, Error>;
    /// The releases on disk, newest first.
    fn releases(&self) -> Result<Vec<Release>, Error>;
    /// The rollouts of the past and the one under way, newest first.
    fn history(&self) -> Result<Vec<Entry>, Error>;
    /// Begins a rollout, or queues one behind the running one; returns its id.
    fn reload(&self, by: &str) -> Result<u64, Error>;
    /// Copies the program behind this descriptor and begins a rollout to it; returns the rollout's id, or [`UNCHANGED`].
    fn deploy(&self, file: zbus::Fd<'_>, id: &str, canary: u32, by: &str) -> Result<u64, Error>;
    /// Begins a rollout to the program `worker` in this directory, which has to stay; returns the rollout's id.
    fn deploy_directory(&self, path: &str, id: &str, canary: u32, by: &str) -> Result<u64, Error>;
    /// Begins a rollout to a release that is on disk, without `id` to the one before; returns the rollout's id.
    fn rollback(&self, id: &str, by: &str) -> Result<u64, Error>;
    /// Lets the running rollout take no further worker after those at hand.
    fn pause(&self) -> Result<(), Error>;
    /// Lets a paused rollout go on.
    fn resume(&self) -> Result<(), Error>;
    /// Ends a rollout: workers that were replaced go back to the old release; where only restarts were asked for, it
    /// ends after the workers at hand. A rollout that is queued is withdrawn. 0 is the running one.
    fn abort(&self, rollout: u64) -> Result<(), Error>;
    /// Reads the configuration again and scales to it; returns the wanted number of workers.
    fn reconfigure(&self) -> Result<u32, Error>;

    /// The version of the package that was installed when the orchestrator was started.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;
    /// The sentence that `systemctl status app-cluster` shows.
    #[zbus(property)]
    fn summary(&self) -> zbus::Result<String>;
    /// The release that a worker started now would run.
    #[zbus(property)]
    fn release(&self) -> zbus::Result<String>;
    /// How many workers are wanted.
    #[zbus(property)]
    fn desired(&self) -> zbus::Result<u32>;
    /// How many of them are ready.
    #[zbus(property)]
    fn ready(&self) -> zbus::Result<u32>;

    /// A rollout took a step or ended.
    #[zbus(signal)]
    fn rollout_changed(&self, rollout: Rollout) -> zbus::Result<()>;
}
