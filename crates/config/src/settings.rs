//! Settings: what the program works with. Every value is valid and every key has one.

mod ratio;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::keys::KEYS;
use crate::problem::Position;

pub use ratio::Ratio;
pub use workers::{Count, ParseWorkersError, Workers};

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `workers`: how many workers run.
    pub workers: Workers,
    /// The table `[rollout]`.
    pub rollout: RolloutSettings,
    /// The table `[releases]`.
    pub releases: ReleaseSettings,
    /// The table `[backoff]`.
    pub backoff: BackoffSettings,
    /// Where each key was set, by its path; absent for a default.
    pub(crate) origins: BTreeMap<&'static str, Origin>,
}

/// The table `[rollout]`: how workers are replaced.
///
/// `surge` and `max_unavailable` are never both 0: no worker could be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutSettings {
    /// `surge`: how many extra instances may be started before an old one stops, 0 to 100; 1 unless set.
    pub surge: u32,
    /// `max_unavailable`: how many workers less than wanted may be ready, 0 to [`Count::MAX`]. Unless set it
    /// is 0 with a surge and 1 without.
    pub max_unavailable: u32,
    /// `settle`: how long a new worker has to stay ready before the next is replaced, at most 10 min; 2 s
    /// unless set.
    pub settle: Duration,
    /// `max_error_ratio`: by how much a new worker's share of 5xx answers may exceed that of the old ones while it
    /// settles, 0 to 1. Off unless set.
    pub max_error_ratio: Option<Ratio>,
    /// `max_latency_ratio`: how many times as long as for the old workers 99 of 100 requests may take a new one while
    /// it settles, 1 to 1000. Off unless set.
    pub max_latency_ratio: Option<Ratio>,
    /// `min_requests`: how many requests the new worker, and the old ones together, have to answer while it settles
    /// for either limit to be looked at, 1 to 1,000,000; 100 unless set.
    pub min_requests: u32,
    /// `worker_deadline`: replacing one worker (drain, start, settle) takes no longer, 1 s to 1 day.
    ///
    /// [`Deadline::Auto`], which it is unless set, stands for what the unit's own `TimeoutStopSec=`,
    /// `TimeoutStartSec=` and `WatchdogSec=` and [`settle`](Self::settle) add up to.
    pub worker_deadline: Deadline,
    /// `deadline`: the whole rollout takes no longer, the time it is paused not counted, 1 s to 7 days.
    ///
    /// [`Deadline::Auto`], which it is unless set, stands for one
    /// [`worker_deadline`](Self::worker_deadline) for each worker.
    pub deadline: Deadline,
    /// `on_failure`: what becomes of the workers already replaced when a rollout fails.
    pub on_failure: OnFailure,
    /// `watch`: for how long after a rollout to another release the workers are watched, at most 1 h; 30 s
    /// unless set. While a majority of them flaps in that time the rollout is undone. Zero: not at all.
    pub watch: Duration,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self {
            surge: 1,
            max_unavailable: 0,
            settle: Duration::from_secs(2),
            max_error_ratio: None,
            max_latency_ratio: None,
            min_requests: 100,
            worker_deadline: Deadline::Auto,
            deadline: Deadline::Auto,
            on_failure: OnFailure::Rollback,
            watch: Duration::from_secs(30),
        }
    }
}

/// How long something may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deadline {
    /// As long as what it is made of may take.
    #[default]
    Auto,
    /// This long; never zero.
    After(Duration),
}

/// What becomes of the workers already replaced when a rollout fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// `"rollback"`: they return to the old release.
    #[default]
    Rollback,
    /// `"halt"`: they stay as they are, for somebody to look at.
    Halt,
}

/// The table `[releases]`: what stays on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseSettings {
    /// `keep`: how many releases stay on disk, 2 to 100; 5 unless set. The current and the previous one
    /// always do.
    pub keep: u32,
}

impl Default for ReleaseSettings {
    fn default() -> Self {
        Self { keep: 5 }
    }
}

/// The table `[backoff]`: when a worker flaps, and what it is given then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffSettings {
    /// `burst`: so many restarts within [`window`](Self::window) and the worker flaps, 2 to 100; 5 unless
    /// set.
    pub burst: u32,
    /// `window`: the time in which restarts are counted, 1 s to 10 min; 10 s unless set.
    pub window: Duration,
    /// `first`: the first pause of a worker that flaps, 100 ms to 10 min; 1 s unless set.
    pub first: Duration,
    /// `max`: the longest pause; each is twice the one before. From [`first`](Self::first) to 1 h; 1 min
    /// unless set.
    pub max: Duration,
    /// `stable`: a worker that ran for so long is forgiven, 1 s to 1 day; 1 min unless set.
    pub stable: Duration,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self {
            burst: 5,
            window: Duration::from_secs(10),
            first: Duration::from_secs(1),
            max: Duration::from_secs(60),
            stable: Duration::from_secs(60),
        }
    }
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The position of the value in it.
    pub position: Position,
}

/// One key with the value that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective<'a> {
    /// The key, with its table: `rollout.settle`.
    pub key: &'static str,
    /// The value, as it is written in TOML.
    pub value: String,
    /// Where it was set; absent for a default.
    pub origin: Option<&'a Origin>,
}

impl Settings {
    /// Every key with the value that holds and where it comes from, in the order of the manual.
    pub fn effective(&self) -> [Effective<'_>; KEYS.len()] {
        KEYS.map(|key| Effective {
            key: key.path,
            value: (key.show)(self),
            origin: self.origins.get(key.path),
        })
    }
}
