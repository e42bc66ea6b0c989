//! The measurements of one peer, over all rounds.

use std::time::Duration;

use client::{Latency, Report};

use super::{crash::Crash, load::MODES, spread::Spread};
use crate::bench::trend::median;

/// All values that exist once per round, or once per repetition.
#[derive(Default)]
pub(super) struct Measured {
    /// Requests per second: with kept-alive connections, and with a new connection for each.
    pub(super) throughput: [Vec<f64>; 2],
    pub(super) at_rest: Latencies,
    pub(super) rolling: Latencies,
    /// Requests that were lost while no worker was replaced.
    pub(super) lost_at_rest: u64,
    /// For each of [`MODES`].
    pub(super) losses: [Losses; MODES.len()],
    pub(super) rollouts: Vec<Duration>,
    pub(super) crashes: Vec<Crash>,
    pub(super) bursts: Vec<Spread>,
    pub(super) spaced: Vec<Spread>,
    /// KiB of the supervisor.
    pub(super) supervisor: Vec<u64>,
    /// KiB of each worker.
    pub(super) worker: Vec<u64>,
    pub(super) status: Vec<Duration>,
}

/// Requests that were lost while workers were replaced.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Losses {
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) rollouts: u32,
}

impl Losses {
    pub(super) fn add(&mut self, report: &Report, rollouts: u32) {
        // A request that could not be sent, because there was no connection, is lost too.
        self.sent += report.ok + report.failed();
        self.lost += report.failed();
        self.rollouts += rollouts;
    }

    /// `None` in a mode that the peer does not support.
    pub(super) fn per_rollout(&self) -> Option<f64> {
        (self.rollouts > 0).then(|| self.lost as f64 / f64::from(self.rollouts))
    }

    /// `None` in a mode that the peer does not support.
    pub(super) fn requests(&self) -> Option<u64> {
        (self.rollouts > 0).then_some(self.sent)
    }
}

/// Quantiles of latencies, for each round.
#[derive(Default)]
pub(super) struct Latencies(Vec<Latency>);

impl Latencies {
    pub(super) fn add(&mut self, report: &Report) {
        self.0.push(report.latency);
    }

    /// The value of the median round, in milliseconds.
    pub(super) fn median(&self, quantile: impl Fn(&Latency) -> u64) -> Option<f64> {
        let micros: Vec<u64> = self.0.iter().map(quantile).collect();
        median(&micros).map(|micros| micros as f64 / 1e3)
    }
}

/// The median in milliseconds.
pub(super) fn median_millis(times: &[Duration]) -> Option<f64> {
    median(times).map(|time| time.as_secs_f64() * 1e3)
}
