//! How the cluster is configured.

use std::time::Duration;

use rollout::numbers::{Limits, Millionths};
use rollout::{OnFailure, Policy};

use crate::chaos::{Chaos, Class};
use crate::rng::Rng;

/// Where they are set.
const LIMITS: Limits =
    Limits { max_error_ratio: Some(Millionths(50_000)), max_latency_ratio: None, min_requests: 100 };

/// The settings of the cluster, the same for all rollouts of a schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) surge: u32,
    pub(crate) policy: Policy,
    /// How long one worker may take, in ms.
    pub(crate) step_deadline: u64,
    /// How long a rollout may take, in ms.
    pub(crate) deadline: u64,
}

impl Settings {
    /// The settings of a cluster of so many workers.
    pub(super) fn draw(rng: &mut Rng, chaos: &mut Chaos, workers: u32) -> Self {
        let surge = rng.pick(&[0, 1, 1, 1, 2, 3]);
        let max_unavailable = if surge == 0 { rng.pick(&[1, 1, 2]) } else { rng.pick(&[0, 0, 1, 2]) };
        let halts = chaos.strikes(rng, Class::Halt);
        let canary = chaos.strikes(rng, Class::Canary).then(|| rng.worker(workers));
        let policy = Policy {
            settle: Duration::from_millis(rng.pick(&[200, 1_000])),
            limits: rng.pick(&[Limits::NONE, LIMITS, LIMITS]),
            max_unavailable,
            on_failure: if halts { OnFailure::Halt } else { OnFailure::Rollback },
            has_previous: true,
            canary,
        };
        let is_short = chaos.strikes(rng, Class::ShortDeadline);
        let deadline = if is_short { rng.between(100, 5_000) } else { 120_000 };
        Self { surge, policy, step_deadline: rng.pick(&[2_000, 20_000]), deadline }
    }
}
