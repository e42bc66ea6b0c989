//! A worker is killed: until when its replacement answers, and what is lost with it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client::Failure;
use machine::{Running, poll};
use rustix::time::{ClockId, clock_gettime};

use super::{
    load::{self, Client, newcomers},
    serving::{DEADLINE, Serving},
};

/// What the workers have to do when one of them is killed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// [`RATE`](load::RATE) requests a second, which leaves the CPUs time.
    AtRate,
    /// As much as they can, while the new process starts on the same CPUs.
    Saturating,
}

impl Load {
    /// With a connection for each request, so that a new process is given one as soon as it takes any.
    fn start(self, client: &Client<'_>) -> Result<Running> {
        const MODE: [&str; 1] = ["--one-request"];
        match self {
            Self::AtRate => client.start_at_rate(&MODE),
            Self::Saturating => client.start(&MODE),
        }
    }
}

/// What became of one crash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crash {
    /// From SIGKILL until a process that is new has answered.
    pub(super) recovery: Duration,
    /// Requests that were never answered, and only the client's timeout told.
    pub(super) hung: u64,
    /// Requests that were lost otherwise, most of them in flight on the killed process.
    pub(super) cut: u64,
}

/// Kills the worker that comes at this place.
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
    let recovery = Duration::from_micros(first.context("nobody new has answered")?).saturating_sub(killed);
    let hung = report.count(Failure::Timeout);
    Ok(Crash { recovery, hung, cut: report.failed() - hung })
}

/// The clock that the client's report counts from.
fn monotonic() -> Result<Duration> {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).context("the clock is before its beginning")
}
