//! The settings of the cluster. Another crate reads and checks the configuration, so every value here is
//! valid.

use std::time::Duration;

use crate::backoff::BackoffPolicy;
use crate::event::OnFailure;
use crate::numbers::Limits;

/// The settings of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many workers are wanted.
    pub workers: u32,
    /// How many extra workers a rollout may start before it stops an old one.
    pub surge: u32,
    /// How many ready workers fewer than wanted a rollout may leave.
    pub max_unavailable: u32,
    /// How long a new worker has to stay ready before the next is replaced.
    pub settle: Duration,
    /// By how much the answers of a new worker may be worse than those of the old ones.
    pub limits: Limits,
    /// How long replacing one worker may take. None for the time that its unit allows, plus `settle`.
    pub worker_deadline: Option<Duration>,
    /// How long a rollout may take. None for the time of one worker, times their number.
    pub deadline: Option<Duration>,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// How long workers are watched after a rollout. Zero for not at all.
    pub watch: Duration,
    /// How many releases are kept on disk.
    pub keep: usize,
    /// When a worker that keeps ending is started again.
    pub backoff: BackoffPolicy,
}
