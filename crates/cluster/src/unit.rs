//! What systemd says of a unit and its jobs, parsed once into types without an invalid value.

use std::fmt;
use std::time::Duration;

pub use names::Instance;

/// The id that systemd gives to each run of a unit (`InvocationID` in org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InvocationId(pub [u8; 16]);

impl InvocationId {
    /// From the bytes D-Bus delivers. A unit that never ran has none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self).filter(|id| id.0 != [0; 16])
    }
}

/// The number that systemd gives to a job (`JobNew` in org.freedesktop.systemd1(5)). It is unique in one
/// boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

/// `ActiveState` of a unit (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveState {
    /// Running. With Type=notify, READY=1 has arrived.
    Active,
    /// Starting, or waiting for systemd's own restart.
    Activating,
    /// Stopping.
    Deactivating,
    /// Not running, without a failure.
    Inactive,
    /// Not running, after a failure.
    Failed,
    /// A state that this version does not know. It never counts as ready.
    Other,
}

impl ActiveState {
    /// From systemd's name for it. A service that is `reloading` or `refreshing` goes on running.
    pub fn parse(word: &str) -> Self {
        match word {
            "active" | "reloading" | "refreshing" => Self::Active,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            "inactive" => Self::Inactive,
            "failed" => Self::Failed,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for ActiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Other => "in a state unknown to this version",
        })
    }
}

/// How a job ended (`JobRemoved` in org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    /// systemd did what it was asked. The unit may still not run.
    Done,
    /// Another job replaced it, or a client cancelled it.
    Canceled,
    /// The job ran out of time.
    Timeout,
    /// The unit failed.
    Failed,
    /// A unit that this one needs failed.
    Dependency,
    /// Any other result. None of them means that the unit runs.
    Other(String),
}

impl JobResult {
    /// From systemd's name for it.
    pub fn parse(word: &str) -> Self {
        match word {
            "done" => Self::Done,
            "canceled" => Self::Canceled,
            "timeout" => Self::Timeout,
            "failed" => Self::Failed,
            "dependency" => Self::Dependency,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Dependency => "dependency",
            Self::Other(word) => word,
        })
    }
}

/// What a decision needs of a worker's unit at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Its state.
    pub active: ActiveState,
    /// Its current run. None if it never ran.
    pub invocation: Option<InvocationId>,
    /// How often systemd has restarted it by itself (`NRestarts`).
    pub restarts: u32,
    /// Whether a job waits or runs for it.
    pub has_job: bool,
    /// Whether that job is another client's, as far as is known.
    pub has_foreign_job: bool,
    /// Whether a call that got no answer may still lead to a job, which takes it away.
    pub may_go: bool,
    /// The time from when it became active to when it last fed its watchdog. None without a watchdog.
    pub fed_after: Option<Duration>,
}

impl Unit {
    /// A unit that never ran.
    pub const INACTIVE: Self = Self {
        active: ActiveState::Inactive,
        invocation: None,
        restarts: 0,
        has_job: false,
        has_foreign_job: false,
        may_go: false,
        fed_after: None,
    };

    /// Whether it is active.
    pub fn is_active(&self) -> bool {
        self.active == ActiveState::Active
    }

    /// Whether another client's job has taken it down, or does. Whether it stays down is known when that job is
    /// done.
    pub fn is_stopped_by_another(&self) -> bool {
        self.has_foreign_job && !self.is_up()
    }

    /// Whether it is active or starting.
    pub fn is_up(&self) -> bool {
        matches!(self.active, ActiveState::Active | ActiveState::Activating)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_never_ran_has_no_invocation() {
        assert_eq!(InvocationId::from_bytes(&[]), None);
        assert_eq!(InvocationId::from_bytes(&[0; 16]), None);
        assert_eq!(InvocationId::from_bytes(&[7; 16]), Some(InvocationId([7; 16])));
    }

    #[test]
    fn words_of_a_later_systemd_are_neither_ready_nor_done() {
        assert_eq!(ActiveState::parse("maintenance"), ActiveState::Other);
        assert_ne!(JobResult::parse("frozen"), JobResult::Done);
    }
}
