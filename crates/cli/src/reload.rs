//! `app-cluster reload`: begins a rollout and follows it to its end.
//!
//! It is what a person types, and what `ExecReload=` of `app-cluster.service` runs. There it blocks as
//! long as the rollout takes, asks systemd for more time at every sign of progress, and its exit
//! status is what `systemctl reload` reports.

mod bars;
mod follow;
mod lines;
mod outcome;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::Context;
use api::{ClusterProxy, Rollout};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{Exit, Failure};
use crate::{bus, output};
use bars::Bars;
use follow::{Change, Follower, Happened};
use lines::Lines;

pub(crate) use outcome::{failure, releases, replaced, state_name};

/// Whoever stops the service waits for this process; the orchestrator hears it soon or not at all.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Shows a rollout's progress.
trait Progress {
    /// The rollout has changed from `before`, which is absent at first, to `now`.
    fn changed(&mut self, before: Option<&Rollout>, now: &Rollout);
    /// Says something in between.
    fn say(&mut self, text: &str);
}

/// Begins a rollout and follows it to its end.
pub(crate) async fn run() -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let begun = Instant::now();

    let cluster = bus::connect().await?;
    let mut follower = tokio::select! {
        follower = Follower::begin(&cluster) => follower?,
        _ = terminate.recv() => return Ok(stop_for_systemd(&cluster).await),
    };
    let mut progress: Box<dyn Progress> = match () {
        () if runs_for_systemd() => Box::new(Quiet),
        () if io::stderr().is_terminal() => Box::new(Bars::new()),
        () => Box::new(Lines::new(follower.id())),
    };

    let mut interrupted = false;
    let end = loop {
        let happened = tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(stop_for_systemd(&cluster).await),
            _ = interrupt.recv() => {
                if interrupted || follower.is_queued() {
                    progress.say("not waiting any longer; the orchestrator goes on, see `app-cluster status`");
                    return Ok(Exit::Interrupted);
                }
                interrupted = true;
                progress.say("stopping after the current worker; press Ctrl-C again to leave it to the orchestrator");
                cluster.abort().await.map_err(bus::failure)?;
                continue;
            }
            happened = follower.next() => happened,
        };
        match happened {
            Happened::Elsewhere { step_timeout } => extend_timeout(step_timeout),
            Happened::Changed(change) => {
                let Change { before, now } = *change;
                extend_timeout(Duration::from_micros(now.step_timeout_usec));
                progress.changed(before.as_ref(), &now);
                if outcome::has_ended(&now) {
                    break now;
                }
            }
            Happened::Vanished => {
                drop(progress);
                return Err(vanished().into());
            }
        }
    };
    drop(progress);
    finish(&end, begun.elapsed())
}

/// Whether this is `ExecReload=`. Our output then goes where the orchestrator's goes, which tells every step
/// and the end already.
fn runs_for_systemd() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says nothing.
struct Quiet;

impl Progress for Quiet {
    fn changed(&mut self, _before: Option<&Rollout>, _now: &Rollout) {}
    fn say(&mut self, _text: &str) {}
}

fn finish(end: &Rollout, took: Duration) -> anyhow::Result<Exit> {
    let exit = outcome::exit(end);
    if runs_for_systemd() && end.state != api::RolloutState::Refused {
        return Ok(exit);
    }
    let report = outcome::report(end, took);
    if exit == Exit::Done {
        output::print(&report)?;
    } else {
        eprint!("{report}");
    }
    Ok(exit)
}

/// `systemctl stop` or `restart` during a reload: the unit would end as failed if this process died of
/// the signal.
async fn stop_for_systemd(cluster: &ClusterProxy<'_>) -> Exit {
    match tokio::time::timeout(ABORT_TIMEOUT, cluster.abort()).await {
        Ok(Ok(())) => eprintln!("stopping: the rollout ends after the current worker"),
        Ok(Err(error)) => eprintln!("stopping, the orchestrator may go on: {error}"),
        Err(_) => eprintln!("stopping, the orchestrator may go on: it does not answer"),
    }
    Exit::Done
}

/// Asks systemd for the time of one more step, `sd_notify(3)`; without systemd it does nothing.
fn extend_timeout(step: Duration) {
    const MARGIN: Duration = Duration::from_secs(5);
    let usec = u32::try_from((step + MARGIN).as_micros()).unwrap_or(u32::MAX);
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(usec)]) {
        eprintln!("cannot ask systemd for more time, the reload may be cut off: {error}");
    }
}

fn vanished() -> Failure {
    let what = "the orchestrator went away in the middle of the rollout; the workers keep serving";
    Failure::new(Exit::Unreachable, format!("{what}; run `systemctl reload app-cluster` again to finish"))
}
