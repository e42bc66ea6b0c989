//! All measurements of one peer in one go.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::Report;
use machine::poll;

use super::{
    crash::{Load, crash},
    load::{self, Client, MODES, newcomers},
    measured::Measured,
    peer::Peer,
    serving::{DEADLINE, Serving, WORKERS},
    spread::{BURST, SPACED, Spread},
};
use crate::bench::cluster::Cluster;

/// How much to measure.
pub(super) struct Plan {
    /// How often each peer is visited.
    pub(super) rounds: usize,
    /// How many rollouts there are per mode and round, and of idle workers. Also how often the status is
    /// read.
    pub(super) rollouts: u32,
    /// How many workers are killed in each round, and per load and turn.
    pub(super) crashes: usize,
    /// How often app-cluster and PM2 take turns at crashing.
    pub(super) crash_turns: usize,
    /// For how long throughput and latency are measured, in seconds.
    pub(super) seconds: &'static str,
    /// How often app-cluster and plain axum take turns.
    pub(super) turns: usize,
    /// How many rollouts there are with the default configuration.
    pub(super) rollouts_as_shipped: usize,
    /// The minimum time for which rollouts follow one another while latency is measured.
    pub(super) rolling: Duration,
}

impl Plan {
    pub(super) const QUICK: Self = Self {
        rounds: 1,
        rollouts: 5,
        crashes: 3,
        crash_turns: 2,
        seconds: "1",
        turns: 10,
        rollouts_as_shipped: 2,
        rolling: Duration::from_secs(2),
    };
    pub(super) const FULL: Self = Self {
        rounds: 3,
        rollouts: 4,
        crashes: 4,
        crash_turns: 5,
        seconds: "4",
        turns: 60,
        rollouts_as_shipped: 10,
        rolling: Duration::from_secs(8),
    };
}

/// Starts a peer, measures it, and stops it.
pub(super) fn visit(
    cluster: &Cluster,
    client: &Client<'_>,
    peer: &Peer,
    plan: &Plan,
    measured: &mut Measured,
) -> Result<()> {
    let serving = Serving::start(cluster, peer)?;
    warm_up(client, plan)?;
    at_rest(&serving, client, plan, measured)?;
    rollouts(&serving, client, plan, measured)?;
    for place in 0..plan.crashes {
        measured.crashes.push(crash(&serving, client, Load::Saturating, place)?);
    }
    serving.until_complete()?;
    serving.stop()
}

/// Waits until every worker has answered, and a just-in-time compiler has done its work.
fn warm_up(client: &Client<'_>, plan: &Plan) -> Result<()> {
    let load = client.start(&["--one-request"])?;
    poll("an answer of each worker", DEADLINE, || {
        let progress = load.text_so_far();
        ensure!(newcomers(&progress).count() == WORKERS, "{progress}");
        Ok(())
    })?;
    load::stop(load)?;
    client.run(&["--seconds", plan.seconds])?;
    Ok(())
}

/// While no worker is replaced.
fn at_rest(serving: &Serving<'_>, client: &Client<'_>, plan: &Plan, measured: &mut Measured) -> Result<()> {
    let seconds = ["--seconds", plan.seconds];
    for (rates, mode) in measured.throughput.iter_mut().zip([&[][..], &["--one-request"]]) {
        let report = client.run(&[&seconds, mode].concat())?;
        rates.push(per_second(&report));
        measured.lost_at_rest += report.failed();
    }
    let report = client.run_at_rate(plan.seconds)?;
    measured.at_rest.add(&report);
    measured.lost_at_rest += report.failed();
    measured.bursts.push(Spread::of(client, BURST)?);
    measured.spaced.push(Spread::of(client, SPACED)?);
    let (supervisor, workers) = serving.memory()?;
    measured.supervisor.extend(supervisor);
    measured.worker.extend(workers);
    if let Some(status) = serving.peer.status {
        for _ in 0..plan.rollouts {
            measured.status.push(time(serving.cluster, status)?);
        }
    }
    Ok(())
}

/// While workers are replaced.
fn rollouts(serving: &Serving<'_>, client: &Client<'_>, plan: &Plan, measured: &mut Measured) -> Result<()> {
    for _ in 0..plan.rollouts {
        measured.rollouts.push(serving.rollout()?);
    }
    for (losses, (name, mode)) in measured.losses.iter_mut().zip(MODES) {
        if serving.peer.silent.contains(&name) {
            continue;
        }
        let load = client.start(mode)?;
        for _ in 0..plan.rollouts {
            serving.rollout()?;
        }
        losses.add(&load::stop(load)?, plan.rollouts);
    }
    let load = client.start_at_rate(&[])?;
    let begun = Instant::now();
    while begun.elapsed() < plan.rolling {
        serving.rollout()?;
    }
    measured.rolling.add(&load::stop(load)?);
    Ok(())
}

pub(super) fn per_second(report: &Report) -> f64 {
    report.ok as f64 * 1e3 / report.took_ms.max(1) as f64
}

/// How long a command takes, without the time to enter the machine.
fn time(cluster: &Cluster, command: &str) -> Result<Duration> {
    let script = format!("TIMEFORMAT=%3R; time {{ {command}; }} >/dev/null 2>&1");
    let output = cluster.machine.run(["bash", "-c", &script]);
    let seconds = output.stderr().parse().ok().filter(|_| output.status().success());
    let seconds = seconds.with_context(|| format!("failed to time a command:\n{output}"))?;
    Duration::try_from_secs_f64(seconds).context("a command took no time")
}
