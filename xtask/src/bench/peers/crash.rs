//! Kills a worker, and measures when its replacement answers and what is lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::Failure;
use machine::{Running, poll};
use rustix::time::{ClockId, clock_gettime};

use super::{
    load::{self, Client, newcomers},
    serving::{DEADLINE, Serving},
};

/// The load on the workers when one of them is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// [`RATE`](load::RATE) requests a second. The CPUs are not busy all the time.
    AtRate,
    /// As many requests as possible, while the new process starts on the same CPUs.
    Saturating,
}

impl Load {
    /// Uses a new connection for each request, so that a new process gets one as soon as it accepts.
    fn start(self, client: &Client<'_>) -> Result<Running> {
        const MODE: [&str; 1] = ["--one-request"];
        match self {
            Self::AtRate => client.start_at_rate(&MODE),
            Self::Saturating => client.start(&MODE),
        }
    }
}

/// The result of one crash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crash {
    /// From SIGKILL until a new process has answered.
    pub(super) recovery: Duration,
    /// Requests that hung: only the client's timeout ended them.
    pub(super) hung: u64,
    /// Requests that were lost otherwise. Most were in flight on the killed process.
    pub(super) cut: u64,
}

/// Kills the worker with the index `place`.
pub(super) fn crash(serving: &Serving<'_>, client: &Client<'_>, load: Load, place: usize) -> Result<Crash> {
    let workers = serving.until_complete()?;
    let load = load.start(client)?;
    let killed = monotonic()?;
    serving.kill(workers[place % workers.len()])?;
    poll("the answer of a new process", DEADLINE, || {
        let progress = load.text_so_far();
        ensure!(newcomers(&progress).any(|pid| !workers.contains(&pid)), "{progress}");
        Ok(())
    })?;
    let report = load::stop(load)?;
    let new = report.answers.iter().filter(|answers| !workers.contains(&answers.pid));
    let first = new.map(|answers| report.began_us + answers.first_us).min();
    let recovery =
        Duration::from_micros(first.context("no new process has answered")?).saturating_sub(killed);
    let hung = report.count(Failure::Timeout);
    Ok(Crash { recovery, hung, cut: report.failed() - hung })
}

/// The clock of the client's report.
fn monotonic() -> Result<Duration> {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).context("the clock is before its beginning")
}
