//! A rollout from the caller's side: begins or joins one, follows it to its end and shows its progress.
//!
//! `follow` receives the changes. `bars` and `lines` show them. `words` has the texts. `outcome` gives the exit
//! status and the report of the end. `systemd` does what systemd expects of the process behind `ExecReload=`.

mod bars;
mod follow;
mod lines;
pub(crate) mod outcome;
pub(crate) mod systemd;
pub(crate) mod words;

use std::io::{self, IsTerminal};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use api::{Cluster, Entry, Rollout, RolloutState, Step, StepState};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::exit::{Exit, Failure};
use crate::{asker, bus, output};
use bars::Bars;
use follow::{Change, Follower, Happened};
use lines::Lines;

/// If an answer takes longer than this, the terminal says what it waits for.
const LATE: Duration = Duration::from_secs(2);

/// How far the command follows a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Until every worker is replaced. The first Ctrl-C aborts the rollout.
    Replace,
    /// Until the first workers are replaced and the rollout pauses. The first Ctrl-C aborts it.
    Canary,
    /// Until the rollout is undone. Ctrl-C stops the waiting.
    Abort,
}

/// How following a rollout ended.
pub(crate) enum Followed {
    /// The rollout has ended.
    Ended { rollout: Rollout, took: Duration },
    /// The rollout ended while the orchestrator was away. Only its entry in the history is known.
    Recorded(Entry),
    /// The canary is in place.
    Canary(Rollout),
    /// There was no rollout: all workers run this release already.
    Unchanged,
    /// The command stopped following. The rollout continues.
    Left(Exit),
}

/// Shows a rollout's progress.
trait Progress {
    /// The rollout has changed from `before` to `now`. At first, `before` is absent.
    fn changed(&mut self, before: Option<&Rollout>, now: &Rollout);
    /// This worker runs, but has not said yet that it is ready.
    fn starting(&mut self, step: &Step);
    /// Shows a message between two changes.
    fn say(&mut self, text: &str);
}

/// Shows nothing. The output of the process behind `ExecReload=` goes into the orchestrator's log, which already
/// has every step and the end.
struct Quiet;

impl Progress for Quiet {
    fn changed(&mut self, _before: Option<&Rollout>, _now: &Rollout) {}
    fn starting(&mut self, _step: &Step) {}
    fn say(&mut self, _text: &str) {}
}

/// Performs `call`, which returns a rollout's id, and follows that rollout as far as `purpose` says.
pub(crate) async fn follow(
    cluster: &Cluster,
    purpose: Purpose,
    call: impl Future<Output = Result<u64, Failure>>,
) -> anyhow::Result<Followed> {
    let mut signals = Signals::new()?;
    let begun = Instant::now();
    let mut follower = match begin(cluster, purpose, call, &mut signals).await? {
        Ok(follower) => follower,
        Err(asked) => return Ok(Followed::Left(asked.exit())),
    };
    if follower.id() == api::UNCHANGED {
        return Ok(Followed::Unchanged);
    }
    let mut progress = progress(follower.id());
    let (mut is_aborted, mut is_told_to_wait) = (purpose == Purpose::Abort, false);
    // The orchestrator was away when it was asked.
    let mut is_to_be_aborted = false;
    loop {
        let happened = tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::ToLeave if !is_aborted => {
                    is_aborted = true;
                    is_to_be_aborted = !abort(cluster, &follower, progress.as_mut()).await;
                    continue;
                }
                asked => {
                    progress.say("no longer waiting; the orchestrator continues, see `app-cluster status`");
                    return Ok(Followed::Left(asked.exit()));
                }
            },
            happened = follower.next() => happened,
        };
        match happened {
            Happened::Waits { step_timeout } => {
                systemd::extend_timeout(step_timeout);
                if follower.seen().is_none() && !std::mem::replace(&mut is_told_to_wait, true) {
                    progress.say(words::QUEUED);
                }
            }
            Happened::Changed(change) => {
                let Change { before, now } = *change;
                systemd::extend_timeout(Duration::from_micros(now.step_timeout_usec));
                progress.changed(before.as_ref(), &now);
                if now.state.has_ended() {
                    return Ok(Followed::Ended { rollout: now, took: begun.elapsed() });
                }
                if purpose == Purpose::Canary && is_at_rest(&now) {
                    return Ok(Followed::Canary(now));
                }
            }
            Happened::Starting(step) => progress.starting(&step),
            // systemd starts the orchestrator again only after this process has ended.
            Happened::Away if systemd::is_caller() => return Err(lost().into()),
            Happened::Away => progress.say("the orchestrator went away; waiting for its return"),
            Happened::Back => {
                progress.say("the orchestrator was restarted; waiting for it to continue");
                if is_to_be_aborted {
                    is_to_be_aborted = !abort(cluster, &follower, progress.as_mut()).await;
                }
            }
            Happened::Recorded(entry) => return Ok(Followed::Recorded(*entry)),
            Happened::Lost => {
                drop(progress);
                return Err(lost().into());
            }
        }
    }
}

/// Waits until the rollout has begun or is queued, or until a signal asks this process to end.
async fn begin<'a>(
    cluster: &'a Cluster,
    purpose: Purpose,
    call: impl Future<Output = Result<u64, Failure>>,
    signals: &mut Signals,
) -> Result<Result<Follower<'a>, Asked>, Failure> {
    let mut begun = pin!(Follower::begin(cluster, call));
    let told_late = async {
        sleep(LATE).await;
        // Behind `ExecReload=`, the orchestrator's log has this message already.
        if !systemd::is_caller()
            && let Some(rollout) = not_begun(cluster).await
        {
            progress(rollout.id).say(&rollout.message);
        }
        std::future::pending::<Asked>().await
    };
    let asked = tokio::select! {
        follower = &mut begun => return follower.map(Ok),
        asked = signals.next() => asked,
        asked = told_late => asked,
    };
    if asked == Asked::ToLeave {
        let is_ours = |rollout: &Rollout| purpose != Purpose::Abort && rollout.by == asker::name();
        output::complain(&match not_begun(cluster).await.filter(is_ours) {
            Some(Rollout { id, .. }) => match bus::answer(cluster.abort(id)).await {
                Ok(()) => format!("rollout {id} is withdrawn before it began\n"),
                Err(failure) => format!("rollout {id} cannot be withdrawn: {failure}\n"),
            },
            None => "not waiting for an answer; see `app-cluster status`\n".to_owned(),
        });
    }
    Ok(Err(asked))
}

/// The rollout that the orchestrator is still preparing. The call that began it has no answer yet.
async fn not_begun(cluster: &Cluster) -> Option<Rollout> {
    let status = bus::answer(cluster.status()).await.ok()?;
    status.rollout.into_iter().find(|rollout| rollout.state == RolloutState::Queued)
}

/// Reports the end of a rollout that should have replaced the workers, and returns the exit status.
pub(crate) fn finish(followed: Followed) -> anyhow::Result<Exit> {
    let (exit, report) = match followed {
        Followed::Left(exit) => return Ok(exit),
        Followed::Unchanged => (Exit::Done, "unchanged: all workers run this release already\n".to_owned()),
        Followed::Canary(rollout) => (Exit::Done, outcome::canary(&rollout)),
        Followed::Recorded(entry) => (outcome::exit_of_entry(&entry), outcome::report_entry(&entry)),
        // The orchestrator logs every end except a refusal.
        Followed::Ended { rollout, .. } if systemd::is_caller() && rollout.state != RolloutState::Refused => {
            return Ok(outcome::exit(&rollout));
        }
        Followed::Ended { rollout, took } => (outcome::exit(&rollout), outcome::report(&rollout, took)),
    };
    if exit == Exit::Done {
        output::print(&report)?;
    } else {
        output::complain(&report);
    }
    Ok(exit)
}

/// The id of the current rollout, for a command line that names none.
pub(crate) async fn running(cluster: &Cluster) -> Result<u64, api::Error> {
    let rollout = cluster.status().await?.rollout.into_iter().find(|rollout| !rollout.state.has_ended());
    let none = || api::Error::NoRollout("no rollout is running; see `app-cluster releases`".to_owned());
    rollout.map(|rollout| rollout.id).ok_or_else(none)
}

fn progress(id: u64) -> Box<dyn Progress> {
    match () {
        () if systemd::is_caller() => Box::new(Quiet),
        () if io::stderr().is_terminal() => Box::new(Bars::new()),
        () => Box::new(Lines::new(id)),
    }
}

/// Whether it is paused and no worker is in progress any more.
pub(crate) fn is_at_rest(rollout: &Rollout) -> bool {
    use StepState::{Restarting, Restoring, Settling, Stopping};
    let is_under_way = |state| matches!(state, Restarting | Settling | Restoring | Stopping);
    rollout.state == RolloutState::Paused && !rollout.steps.iter().any(|step| is_under_way(step.state))
}

/// Asks the orchestrator to abort the rollout. Returns false if it has to be asked again, because it is away.
async fn abort(cluster: &Cluster, follower: &Follower<'_>, progress: &mut dyn Progress) -> bool {
    let what = follower.seen().map_or_else(|| "ending the rollout".to_owned(), words::abortion);
    progress.say(&format!("{what}; press Ctrl-C again to leave it to the orchestrator"));
    let asked = async {
        match cluster.abort(follower.id()).await {
            // The rollout ended meanwhile. The follower reports that next.
            Err(api::Error::NoRollout(_)) => Ok(()),
            asked => asked,
        }
    };
    match bus::answer(asked).await {
        Ok(()) => true,
        Err(failure) if failure.exit == Exit::Unreachable => {
            progress.say("the orchestrator is away; it is asked again when it is back");
            false
        }
        Err(failure) => {
            progress.say(&format!("it cannot be ended: {failure}"));
            true
        }
    }
}

fn lost() -> Failure {
    let what = "the orchestrator went away in the middle of the rollout";
    Failure::new(
        Exit::Unreachable,
        format!(
            "{what}. If the cluster was stopped, the rollout does not continue. Otherwise the workers keep serving, and the \
             next orchestrator continues the rollout: see `app-cluster status`. If systemd does not start one, run \
             `systemctl start app-cluster`"
        ),
    )
}

/// What a signal asks this process to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// SIGINT.
    ToLeave,
    /// SIGTERM from systemd.
    ToStop,
}

impl Asked {
    fn exit(self) -> Exit {
        match self {
            Self::ToLeave => Exit::Interrupted,
            Self::ToStop => Exit::Done,
        }
    }
}

/// The signals that this process handles.
struct Signals {
    interrupt: Signal,
    /// `systemctl stop` or `restart` during a reload sends SIGTERM to the orchestrator and to this process. The
    /// orchestrator decides whether to end the rollout or to continue it later, so this process requests nothing.
    /// It handles the signal, because the unit would fail if the signal killed it. Absent without systemd: then
    /// SIGTERM ends this process like any other, and the rollout continues.
    terminate: Option<Signal>,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let terminate = systemd::is_caller().then(|| signal(SignalKind::terminate())).transpose();
        Ok(Self { interrupt, terminate: terminate.context("cannot wait for SIGTERM")? })
    }

    async fn next(&mut self) -> Asked {
        let terminated = async {
            match &mut self.terminate {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminated => Asked::ToStop,
            _ = self.interrupt.recv() => Asked::ToLeave,
        }
    }
}
