//! systemd's words for a unit and its jobs, parsed once into types without a wrong value.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// The number of a worker: 3 for `worker@3.service`. Instances count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(NonZeroU32);

impl Instance {
    /// The instance with this number, or `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number, from 1.
    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// The instances 1 to `count`.
    pub fn first(count: u32) -> impl Iterator<Item = Self> {
        (1..=count).filter_map(Self::new)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker@{}", self.0)
    }
}

/// The id that systemd gives to each run of a unit: a new process has a new one
/// (`InvocationID` in org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InvocationId(pub [u8; 16]);

impl InvocationId {
    /// From the bytes D-Bus delivers. A unit that never ran has none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self).filter(|id| id.0 != [0; 16])
    }
}

/// `ActiveState` of a unit (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveState {
    /// Running, and for Type=notify: READY=1 has arrived.
    Active,
    /// On the way up, or waiting for systemd's own restart.
    Activating,
    /// On the way down.
    Deactivating,
    /// Not running, nothing wrong.
    Inactive,
    /// Not running, something was wrong.
    Failed,
    /// A state this version does not know; never taken for ready.
    Other,
}

impl ActiveState {
    /// From systemd's word. `reloading` and `refreshing` services go on running.
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
    /// systemd did what it was asked; says little about the unit, which may not even run.
    Done,
    /// Another job took its place, or somebody cancelled it.
    Canceled,
    /// The job ran out of time.
    Timeout,
    /// The unit failed.
    Failed,
    /// Something the unit needs failed.
    Dependency,
    /// Any other of systemd's words; none of them means that the unit runs.
    Other(String),
}

impl JobResult {
    /// From systemd's word.
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

/// What matters of a worker's unit at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// Its state.
    pub active: ActiveState,
    /// Which run this is; none if it never ran.
    pub invocation: Option<InvocationId>,
    /// How often systemd has restarted it by itself (`NRestarts`).
    pub restarts: u32,
    /// Whether a job for it waits or runs.
    pub has_job: bool,
    /// How long after it became active it last fed its watchdog; none if it has no watchdog.
    pub fed_after: Option<Duration>,
}

impl Unit {
    /// A unit that never ran.
    pub const INACTIVE: Self = Self {
        active: ActiveState::Inactive,
        invocation: None,
        restarts: 0,
        has_job: false,
        fed_after: None,
    };

    /// Whether it is active.
    pub fn is_active(&self) -> bool {
        self.active == ActiveState::Active
    }

    /// Whether it is active or on the way there.
    pub fn is_up(&self) -> bool {
        matches!(self.active, ActiveState::Active | ActiveState::Activating)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_count_from_one() {
        assert_eq!(Instance::new(0), None);
        assert_eq!(Instance::new(3).unwrap().to_string(), "worker@3");
        assert_eq!(Instance::first(2).map(Instance::number).collect::<Vec<_>>(), [1, 2]);
    }

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
