//! A rollout as its caller sees it: begun or joined, followed to its end, told on the way.
//!
//! `follow` hears what happens, `bars` and `lines` show it, `words` names it, `outcome` says what its end
//! means, `systemd` is what systemd expects of the process behind `ExecReload=`.

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

/// An answer that takes longer than this is late, and the terminal says what it waits for.
const LATE: Duration = Duration::from_secs(2);

/// Why somebody follows a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see every worker replaced. The first Ctrl-C aborts it.
    Replace,
    /// To see the first workers replaced, after which it pauses. The first Ctrl-C aborts it.
    Canary,
    /// To see it undone. Ctrl-C stops waiting for that.
    Abort,
}

/// What came of it.
pub(crate) enum Followed {
    /// It has ended.
    Ended { rollout: Rollout, took: Duration },
    /// It ended while the orchestrator was away, and this is all that is known.
    Recorded(Entry),
    /// The canary is in place.
    Canary(Rollout),
    /// There was none: what was to be deployed runs already.
    Unchanged,
    /// It goes on without us.
    Left(Exit),
}

/// Shows a rollout's progress.
trait Progress {
    /// The rollout has changed from `before`, which is absent at first, to `now`.
    fn changed(&mut self, before: Option<&Rollout>, now: &Rollout);
    /// This worker takes its time to say that it is ready.
    fn starting(&mut self, step: &Step);
    /// Says something in between.
    fn say(&mut self, text: &str);
}

/// Says nothing: what the process behind `ExecReload=` says goes where the orchestrator's words go, which tells
/// every step and the end already.
struct Quiet;

impl Progress for Quiet {
    fn changed(&mut self, _before: Option<&Rollout>, _now: &Rollout) {}
    fn starting(&mut self, _step: &Step) {}
    fn say(&mut self, _text: &str) {}
}

/// Performs `call`, which gives a rollout's id, and follows that rollout as far as `purpose` wants.
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
    loop {
        let happened = tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::ToLeave if !is_aborted => {
                    is_aborted = true;
                    abort(cluster, &follower, progress.as_mut()).await;
                    continue;
                }
                asked => {
                    progress.say("not waiting any longer; the orchestrator goes on, see `app-cluster status`");
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
            Happened::Back => progress.say("the orchestrator was restarted, waiting for it to go on"),
            Happened::Recorded(entry) => return Ok(Followed::Recorded(*entry)),
            Happened::Lost => {
                drop(progress);
                return Err(lost().into());
            }
        }
    }
}

/// Waits until the rollout has begun or stands in the queue, or until this process is asked to leave.
async fn begin<'a>(
    cluster: &'a Cluster,
    purpose: Purpose,
    call: impl Future<Output = Result<u64, Failure>>,
    signals: &mut Signals,
) -> Result<Result<Follower<'a>, Asked>, Failure> {
    let mut begun = pin!(Follower::begin(cluster, call));
    let told_late = async {
        sleep(LATE).await;
        // Behind `ExecReload=`, the orchestrator's log says it already.
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

/// The rollout that the orchestrator prepares without an end, which has no answer yet.
async fn not_begun(cluster: &Cluster) -> Option<Rollout> {
    let status = bus::answer(cluster.status()).await.ok()?;
    status.rollout.into_iter().find(|rollout| rollout.state == RolloutState::Queued)
}

/// Says what came of it to whoever wanted the workers replaced.
pub(crate) fn finish(followed: Followed) -> anyhow::Result<Exit> {
    let (exit, report) = match followed {
        Followed::Left(exit) => return Ok(exit),
        Followed::Unchanged => (Exit::Done, "unchanged: all workers run this release already\n".to_owned()),
        Followed::Canary(rollout) => (Exit::Done, outcome::canary(&rollout)),
        Followed::Recorded(entry) => (outcome::exit_of_entry(&entry), outcome::report_entry(&entry)),
        // It is the only end that the orchestrator does not tell in its log.
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

/// The id of the rollout that runs, for those who do not name one.
pub(crate) async fn running(cluster: &Cluster) -> Result<u64, api::Error> {
    let rollout = cluster.status().await?.rollout.into_iter().find(|rollout| !rollout.state.has_ended());
    let none = || api::Error::NoRollout("no rollout is under way; see `app-cluster releases`".to_owned());
    rollout.map(|rollout| rollout.id).ok_or_else(none)
}

fn progress(id: u64) -> Box<dyn Progress> {
    match () {
        () if systemd::is_caller() => Box::new(Quiet),
        () if io::stderr().is_terminal() => Box::new(Bars::new()),
        () => Box::new(Lines::new(id)),
    }
}

/// Whether it is paused and no worker is under way any more.
pub(crate) fn is_at_rest(rollout: &Rollout) -> bool {
    use StepState::{Restarting, Restoring, Settling, Stopping};
    let is_under_way = |state| matches!(state, Restarting | Settling | Restoring | Stopping);
    rollout.state == RolloutState::Paused && !rollout.steps.iter().any(|step| is_under_way(step.state))
}

async fn abort(cluster: &Cluster, follower: &Follower<'_>, progress: &mut dyn Progress) {
    let what = follower.seen().map_or_else(|| "ending the rollout".to_owned(), words::abortion);
    progress.say(&format!("{what}; press Ctrl-C again to leave it to the orchestrator"));
    let asked = async {
        match cluster.abort(follower.id()).await {
            // It ended meanwhile, which is what comes next.
            Err(api::Error::NoRollout(_)) => Ok(()),
            asked => asked,
        }
    };
    if let Err(failure) = bus::answer(asked).await {
        progress.say(&format!("it cannot be ended: {failure}"));
    }
}

fn lost() -> Failure {
    let what = "the orchestrator went away in the middle of the rollout";
    Failure::new(
        Exit::Unreachable,
        format!(
            "{what}; if the cluster was stopped, the rollout does not go on; otherwise the workers keep serving, its successor \
             goes on with the rollout, and `app-cluster status` shows how it ends; `systemctl start app-cluster` starts one where \
             systemd does not"
        ),
    )
}

/// What somebody asked this process to do.
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

/// The signals that mean something here.
struct Signals {
    interrupt: Signal,
    /// `systemctl stop` or `restart` during a reload sends SIGTERM to the orchestrator and to this process. The
    /// orchestrator ends the rollout, or goes on with it once it is back, as it sees fit: nothing is to be asked of
    /// it. The unit would end as failed if this process died of the signal. Absent without systemd: there SIGTERM
    /// ends the process as it ends any other, and the rollout goes on.
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
