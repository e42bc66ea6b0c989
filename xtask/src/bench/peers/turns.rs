//! The promised ratios, measured in short turns so that the machine does not drift between them.

use std::time::Duration;

use anyhow::Result;

use super::{
    load::{self, Client, RATE},
    pairs::Pairs,
    peer::{AXUM, OURS},
    serving::WORKERS,
    visit::{Plan, per_second},
};
use crate::bench::{cluster::Cluster, table::grouped};

/// The default settle.
const DEFAULT_SETTLE: Duration = Duration::from_secs(2);

/// How long a rollout takes with that, in seconds.
const AT_REST: &str = "11";

/// Requests per second on kept-alive connections.
pub(super) struct Throughput(Pairs);

impl Throughput {
    /// Each side has one worker. With several workers on few CPUs, the result would depend on how evenly they
    /// share the connections. A side that leaves most of them to one worker leaves the client a CPU. Both
    /// sides serve all the time. Each goes first in every other pair.
    ///
    /// The cluster runs with one worker, before and after.
    pub(super) fn measure(cluster: &Cluster, client: &Client<'_>, plan: &Plan) -> Result<Self> {
        const AXUM_WORKER: &str = "plain@1.service";
        cluster.resize(1, Duration::ZERO)?;
        cluster.machine.systemctl(["start", AXUM_WORKER]).into_success()?;
        let peers = [&OURS, &AXUM];
        let rate = |place: usize, seconds| {
            Ok::<_, anyhow::Error>(per_second(&client.of(peers[place]).run(&["--seconds", seconds])?))
        };
        for place in [0, 1] {
            rate(place, plan.seconds)?;
        }
        let mut pairs = Pairs::default();
        for turn in 0..plan.turns {
            eprintln!("xtask: turn {} of {}: app-cluster and plain axum", turn + 1, plan.turns);
            let mut pair = [0.0; 2];
            for place in [turn % 2, (turn + 1) % 2] {
                pair[place] = rate(place, "1")?;
            }
            pairs.push(pair);
        }
        cluster.machine.systemctl(["stop", AXUM_WORKER]).into_success()?;
        Ok(Self(pairs))
    }

    pub(super) fn sentence(&self) -> Result<String> {
        let [ours, axum] = self.0.medians()?;
        let [ratio, lower, upper] = self.0.ratio()?;
        Ok(format!(
            "**Throughput in turns.** One worker of app-cluster and one of plain axum serve side by side and are asked in \
            turns, {} times for a second each, so close that the machine is the same for both: {} and {} requests/s kept \
            alive, **{ratio:.2} of plain axum** (median of the pairs; half of them between {lower:.2} and {upper:.2}).",
            self.0.count(),
            grouped(ours.round() as u64),
            grouped(axum.round() as u64),
        ))
    }
}

/// The slowest of 1,000 responses of a cluster with the default configuration, in a rollout and at rest.
pub(super) struct AsShipped(Pairs);

impl AsShipped {
    /// The cluster runs before and after.
    pub(super) fn measure(cluster: &Cluster, client: &Client<'_>, plan: &Plan) -> Result<Self> {
        cluster.resize(u32::try_from(WORKERS)?, DEFAULT_SETTLE)?;
        client.run(&["--seconds", plan.seconds])?;
        let mut pairs = Pairs::default();
        for turn in 0..plan.rollouts_as_shipped {
            eprintln!("xtask: turn {} of {}: at rest, and in a rollout", turn + 1, plan.rollouts_as_shipped);
            let rest = client.run_at_rate(AT_REST)?;
            let load = client.start_at_rate(&[])?;
            cluster.reload()?;
            let rolling = load::stop(load)?;
            pairs.push([rolling, rest].map(|report| report.latency.p999_us as f64 / 1e3));
        }
        Ok(Self(pairs))
    }

    pub(super) fn sentence(&self) -> Result<String> {
        let [rolling, rest] = self.0.medians()?;
        let [ratio, lower, upper] = self.0.ratio()?;
        Ok(format!(
            "**As shipped.** With the default settle of 2 s instead of none, {RATE} requests a second: 999 of 1,000 are \
            answered within {rest:.2} ms at rest and within {rolling:.2} ms in a rollout, **{ratio:.2} times** as long \
            (medians of {} turns of {AT_REST} s each, and of their ratios; half of these between {lower:.2} and {upper:.2}; \
            both begin with the opening of the connections).",
            self.0.count(),
        ))
    }
}
