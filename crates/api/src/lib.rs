//! The D-Bus interface `org.appcluster1`: what the orchestrator offers and what its clients call.
//!
//! | member | what it does | who may call it |
//! |---|---|---|
//! | `Status() → Status` | one snapshot of the cluster | everybody |
//! | `Reload() → t` | begins a rollout, or queues one behind the running one; returns its id | root |
//! | `Reconfigure() → u` | reads the configuration again and scales to it, without a rollout | root |
//! | `Abort()` | ends the running rollout after the worker it is at | root |
//! | signal `RolloutChanged(Rollout)` | a rollout took a step or ended | everybody |
//!
//! `Reload` returns before the rollout ends. A client subscribes to `RolloutChanged` first, calls
//! `Reload`, and follows the signals that carry the id it was given until the state is no longer
//! [`RolloutState::Running`].

mod status;

pub use status::{Failure, Rollout, RolloutState, Status, Step, StepState, Worker, WorkerState};

/// The well-known bus name that the orchestrator owns.
pub const BUS_NAME: &str = "org.appcluster1";
/// The path of the one object it serves.
pub const PATH: &str = "/org/appcluster1";

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
}

impl Error {
    /// What happened, without the D-Bus name of the error.
    pub fn message(&self) -> String {
        match self {
            Self::Configuration(message) | Self::Refused(message) | Self::ShuttingDown(message) => {
                message.clone()
            }
            Self::ZBus(error) => error.to_string(),
        }
    }
}

/// The client's side of the interface.
#[zbus::proxy(
    interface = "org.appcluster1",
    default_service = "org.appcluster1",
    default_path = "/org/appcluster1"
)]
pub trait Cluster {
    /// One snapshot of the cluster.
    fn status(&self) -> Result<Status, Error>;
    /// Begins a rollout, or queues one behind the running one; returns its id.
    fn reload(&self) -> Result<u64, Error>;
    /// Reads the configuration again and scales to it; returns the wanted number of workers.
    fn reconfigure(&self) -> Result<u32, Error>;
    /// Ends the running rollout after the worker it is at. Without a rollout it does nothing.
    fn abort(&self) -> Result<(), Error>;
    /// A rollout took a step or ended.
    #[zbus(signal)]
    fn rollout_changed(&self, rollout: Rollout) -> zbus::Result<()>;
}
