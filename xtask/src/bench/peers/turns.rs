//! What is promised as a ratio, measured in turns so short that the machine does not drift between them.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{
    load::{self, Client},
    measured::Latencies,
    peer::{AXUM, OURS},
    serving::{Serving, WORKERS},
    visit::{Plan, RATE, per_second},
};
use crate::bench::{cluster::Cluster, table::grouped, trend::median};

/// The settle of a configuration that says nothing.
const DEFAULT_SETTLE: Duration = Duration::from_secs(2);

/// Requests a second on connections that are kept alive, pair by pair.
pub(super) struct Throughput {
    ours: Vec<f64>,
    axum: Vec<f64>,
}

impl Throughput {
    /// Each of the two goes first in every other pair. The cluster has [`WORKERS`], and is stopped.
    pub(super) fn measure(cluster: &Cluster, client: &Client<'_>, plan: &Plan) -> Result<Self> {
        let (mut ours, mut axum) = (Vec::new(), Vec::new());
        for pair in 0..plan.turns {
            eprintln!("xtask: turn {} of {}: app-cluster and plain axum", pair + 1, plan.turns);
            let mut both = [(&OURS, &mut ours), (&AXUM, &mut axum)];
            both.rotate_left(pair % 2);
            for (peer, rates) in both {
                let serving = Serving::start(cluster, peer)?;
                client.run(&["--seconds", "1"])?;
                rates.push(per_second(&client.run(&["--seconds", plan.seconds])?));
                serving.stop()?;
            }
        }
        Ok(Self { ours, axum })
    }

    pub(super) fn sentence(&self) -> Result<String> {
        let [ours, axum] = [&self.ours, &self.axum].map(|rates| median(rates));
        let (ours, axum) = ours.zip(axum).context("there was no turn")?;
        let ratios: Vec<f64> = self.ours.iter().zip(&self.axum).map(|(ours, axum)| ours / axum).collect();
        let ratio = median(&ratios).context("there was no turn")?;
        let (least, most) = ratios
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), &ratio| (least.min(ratio), most.max(ratio)));
        Ok(format!(
            "**Throughput in turns.** app-cluster and plain axum started one after the other, {} times each, so close that \
            the machine is the same for both: {} and {} requests/s kept alive, **{ratio:.2} of plain axum** (median of the \
            pairs, {least:.2} to {most:.2}).",
            self.ours.len(),
            grouped(ours.round() as u64),
            grouped(axum.round() as u64),
        ))
    }
}

/// Answer times of a cluster that is configured as it is shipped, at rest and in a rollout, in turns.
#[derive(Default)]
pub(super) struct AsShipped {
    at_rest: Latencies,
    rolling: Latencies,
}

impl AsShipped {
    /// The cluster runs, and does afterwards.
    pub(super) fn measure(cluster: &Cluster, client: &Client<'_>, plan: &Plan) -> Result<Self> {
        cluster.resize(u32::try_from(WORKERS)?, DEFAULT_SETTLE)?;
        client.run(&["--seconds", "1"])?;
        let mut measured = Self::default();
        for turn in 0..plan.turns {
            eprintln!("xtask: turn {} of {}: at rest, and in a rollout", turn + 1, plan.turns);
            // As long as the rollout.
            measured.at_rest.add(&client.run(&["--seconds", "8", "--rate", RATE])?);
            let load = client.start(&["--rate", RATE])?;
            cluster.reload()?;
            measured.rolling.add(&load::stop(load)?);
        }
        Ok(measured)
    }

    pub(super) fn sentence(&self) -> Result<String> {
        let [rest, rolling] =
            [&self.at_rest, &self.rolling].map(|latencies| latencies.median(|latency| latency.p999_us));
        let (rest, rolling) = rest.zip(rolling).context("there was no turn")?;
        Ok(format!(
            "**As shipped.** With the default settle of 2 s instead of none, {RATE} requests a second: 999 of 1,000 are \
            answered within {rest:.2} ms at rest and within {rolling:.2} ms in a rollout, **{:.2} times** as long (medians \
            of {} turns of 8 s each; both begin with the opening of the connections).",
            rolling / rest,
            self.at_rest.len(),
        ))
    }
}
