//! The D-Bus interface `org.appcluster1`, which the orchestrator serves and its clients call.
//!
//! `docs/reference/dbus.md` describes the interface. The bus carries the values of [`Status`] and the other types as
//! dictionaries ([`Dictionary`]), which can gain fields. The members of 1.0 carry them as structs, which
//! cannot ([`positional`]). [`Cluster`] is the client side. It can also talk to an orchestrator of 1.0.
//!
//! A call that begins a rollout returns before the rollout ends. To follow a rollout, a client first listens
//! to [`Rollouts`], then calls the method. It then reads the steps with the returned id until the state [has
//! ended](RolloutState::has_ended).

mod client;
mod counters;
mod dictionary;
mod options;
pub mod positional;
mod proxy;
mod release;
mod rollouts;
mod status;

pub use client::Cluster;
pub use counters::{Counters, Drained, Latency, Responses, Timeouts};
pub use dictionary::Dictionary;
pub use options::Options;
pub use release::{Entry, EntryState, Kind, Release};
pub use rollouts::Rollouts;
pub use status::{Failure, Rollout, RolloutState, Status, Step, StepState, Worker, WorkerState};

/// The well-known bus name that the orchestrator owns.
pub const BUS_NAME: &str = "org.appcluster1";
/// The path of the one object it serves.
pub const PATH: &str = "/org/appcluster1";

/// What `BeginDeploy` returns instead of a rollout's id if there is nothing to do. The release of this name
/// is then a copy of the same file, and all workers run it.
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
    /// A condition for the operation does not hold: the socket is down, the disk is full, and so on. Nothing
    /// was changed.
    Refused(String),
    /// The cluster is being stopped, so the orchestrator begins nothing new.
    ShuttingDown(String),
    /// There is no release of this name, or no release to go back to. Nothing was changed.
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
