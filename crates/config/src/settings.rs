//! Settings: the configuration that the program uses. Every key has a value, and every value is valid.

mod ratio;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Where each key was set, by its path. A key that has its default is absent.
    pub(crate) origins: BTreeMap<&'static str, Origin>,
}

/// The table `[rollout]`: how a rollout replaces workers.
///
/// `surge` and `max_unavailable` are never both 0, because a rollout could then replace no worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutSettings {
    /// `surge`: how many extra instances may start before an old one stops, 0 to 100. Default: 1.
    pub surge: u32,
    /// `max_unavailable`: how far the number of ready workers may fall below the wanted number, 0 to
    /// [`Count::MAX`]. Default: 0 if there is a surge, otherwise 1.
    pub max_unavailable: u32,
    /// `settle`: how long a new worker has to stay ready before the rollout replaces the next, at most 10
    /// min. Default: 2 s.
    pub settle: Duration,
    /// `max_error_ratio`: the limit for the share of 5xx responses of a settling worker, 0 to 1. The share
    /// may exceed that of the old workers by this much. Off by default.
    pub max_error_ratio: Option<Ratio>,
    /// `max_latency_ratio`: the limit for the latency of a settling worker, 1 to 1000. Its 99th percentile
    /// may be this many times that of the old workers. Off by default.
    pub max_latency_ratio: Option<Ratio>,
    /// `min_requests`: how many requests the new worker must answer while it settles, and the old workers
    /// together, 1 to 1,000,000. Below that number, neither limit applies. Default: 100.
    pub min_requests: u32,
    /// `worker_deadline`: how long the replacement of one worker (drain, start, settle) may take, 1 s to 1
    /// day.
    ///
    /// The default is [`Deadline::Auto`]: the sum of [`settle`](Self::settle) and the unit's own
    /// `TimeoutStopSec=`, `TimeoutStartSec=` and `WatchdogSec=`.
    pub worker_deadline: Deadline,
    /// `deadline`: how long the whole rollout may take, 1 s to 7 days. Time in which it is paused does not
    /// count.
    ///
    /// The default is [`Deadline::Auto`]: one [`worker_deadline`](Self::worker_deadline) for each worker.
    pub deadline: Deadline,
    /// `on_failure`: what happens to the workers already replaced if a rollout fails.
    pub on_failure: OnFailure,
    /// `watch`: how long the orchestrator watches the workers after a rollout to another release, at most 1
    /// h. If a majority of them flaps in that time, it undoes the rollout. Zero turns this off. Default: 30
    /// s.
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

/// How long a replacement or a rollout may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deadline {
    /// The sum of what its parts may take.
    #[default]
    Auto,
    /// This long, never zero.
    After(Duration),
}

/// What happens to the workers already replaced if a rollout fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// `"rollback"`: they go back to the old release.
    #[default]
    Rollback,
    /// `"halt"`: they stay as they are, so that an operator can examine them.
    Halt,
}

/// The table `[releases]`: which releases stay on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseSettings {
    /// `keep`: how many releases stay on disk, 2 to 100. The current and the previous one always stay.
    /// Default: 5.
    pub keep: u32,
}

impl Default for ReleaseSettings {
    fn default() -> Self {
        Self { keep: 5 }
    }
}

/// The table `[backoff]`: when a worker counts as flapping, and how long it then pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffSettings {
    /// `burst`: a worker flaps if it restarts this often within [`window`](Self::window), 2 to 100. Default:
    /// 5.
    pub burst: u32,
    /// `window`: the time in which restarts are counted, 1 s to 10 min. Default: 10 s.
    pub window: Duration,
    /// `first`: the first pause of a flapping worker, 100 ms to 10 min. Default: 1 s.
    pub first: Duration,
    /// `max`: the longest pause, from [`first`](Self::first) to 1 h. Each pause is twice the one before.
    /// Default: 1 min.
    pub max: Duration,
    /// `stable`: a worker that has run for this long is stable again, 1 s to 1 day. Default: 1 min.
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
