//! Following one rollout: signals first, a look now and then in case one was missed.
//!
//! An orchestrator that is restarted goes on with the same rollout under the same id, so its absence is
//! waited out; how a rollout ended that nobody speaks of any more is in the history.

use std::pin::Pin;
use std::time::Duration;

use api::{Cluster, Entry, Rollout, RolloutState, Rollouts, Status, Step, StepState, Worker};
use futures_util::{FutureExt, StreamExt};
use tokio::time::sleep;
use zbus::proxy::OwnerChangedStream;

use crate::exit::Failure;
use crate::{bus, clock};

/// After so long without a signal the orchestrator is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// While it is away, it is asked as often as this.
const PATIENCE_WHILE_AWAY: Duration = Duration::from_secs(1);
/// systemd starts it again within a second; it may have to wait for the bus or for a disk.
const ABSENCE: Duration = Duration::from_secs(30);
/// So many answers in a row that know nothing of the rollout mean that nobody goes on with it.
const ANSWERS_WITHOUT_IT: u32 = 3;

/// What the one who follows has to know.
pub(super) enum Happened {
    /// The rollout changed.
    Changed(Box<Change>),
    /// It did not, for a good reason: a rollout before it makes progress, or somebody has paused it.
    Waits { step_timeout: Duration },
    /// It has not for a while: this worker runs, and has not said that it is ready.
    Starting(Box<Step>),
    /// The orchestrator went away.
    Away,
    /// It is back.
    Back,
    /// The rollout ended unseen.
    Recorded(Box<Entry>),
    /// The bus is gone, the orchestrator stays away, or it knows nothing of the rollout.
    Lost,
}

/// A rollout's progress.
pub(super) struct Change {
    /// As it was; absent at first.
    pub(super) before: Option<Rollout>,
    /// As it is.
    pub(super) now: Rollout,
}

/// Follows one rollout.
pub(super) struct Follower<'a> {
    cluster: &'a Cluster,
    changes: Rollouts,
    owners: OwnerChangedStream<'static>,
    id: u64,
    seen: Option<Rollout>,
    patience: Duration,
    answers_without_it: u32,
    /// It was said that ours waits for another.
    is_known_to_wait: bool,
    /// Ends when an orchestrator that is away is to be given up.
    absence: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<'a> Follower<'a> {
    /// Performs `call`, which gives the rollout's id. Subscribed before, it cannot miss the first step.
    pub(super) async fn begin(
        cluster: &'a Cluster,
        call: impl Future<Output = Result<u64, Failure>>,
    ) -> Result<Self, Failure> {
        let failure = |error: zbus::Error| bus::failure(error.into());
        let changes = cluster.rollouts().await.map_err(failure)?;
        let mut owners = cluster.owners().await.map_err(failure)?;
        let id = call.await?;
        // The orchestrator may have come while nobody was waiting for it; what counts is from here on.
        while let Some(Some(_)) = owners.next().now_or_never() {}
        Ok(Self {
            cluster,
            changes,
            owners,
            id,
            seen: None,
            patience: Duration::ZERO,
            answers_without_it: 0,
            is_known_to_wait: false,
            absence: None,
        })
    }

    /// The id of the rollout.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The rollout as it was last seen; absent at first.
    pub(super) fn seen(&self) -> Option<&Rollout> {
        self.seen.as_ref()
    }

    /// Waits for the next thing that happens. May be dropped at any moment.
    pub(super) async fn next(&mut self) -> Happened {
        loop {
            let (cluster, patience) = (self.cluster, self.patience);
            let answer = async {
                sleep(patience).await;
                bus::answer(cluster.status()).await
            };
            let absence = &mut self.absence;
            let given_up = async {
                match absence {
                    Some(absence) => absence.await,
                    None => std::future::pending().await,
                }
            };
            // A signal is newer than an answer that waits beside it, which is then dropped.
            let happened = tokio::select! {
                biased;
                change = self.changes.next() => match change {
                    Some(rollout) => self.signalled(rollout),
                    None => Some(Happened::Lost),
                },
                owner = self.owners.next() => match owner {
                    Some(Some(_)) => { self.patience = Duration::ZERO; None }
                    Some(None) => self.left(),
                    None => Some(Happened::Lost),
                },
                () = given_up => Some(Happened::Lost),
                answer = answer => match answer {
                    Ok(status) => self.answered(status).await,
                    Err(_) => self.left(),
                },
            };
            if let Some(happened) = happened {
                return happened;
            }
        }
    }

    fn signalled(&mut self, rollout: Rollout) -> Option<Happened> {
        self.patience = PATIENCE;
        if rollout.id != self.id {
            return Some(waits(&rollout));
        }
        if self.seen.as_ref() == Some(&rollout) {
            return (rollout.state == RolloutState::Paused).then(|| waits(&rollout));
        }
        let before = self.seen.replace(rollout.clone());
        Some(Happened::Changed(Box::new(Change { before, now: rollout })))
    }

    fn left(&mut self) -> Option<Happened> {
        self.patience = PATIENCE_WHILE_AWAY;
        if self.absence.is_some() {
            return None;
        }
        self.absence = Some(Box::pin(clock::running(ABSENCE)));
        Some(Happened::Away)
    }

    async fn answered(&mut self, status: Status) -> Option<Happened> {
        if self.absence.take().is_some() {
            self.patience = Duration::ZERO;
            return Some(Happened::Back);
        }
        self.patience = PATIENCE;
        let starting = starting(&status);
        match status.rollout.into_iter().next() {
            Some(ours) if ours.id == self.id => {
                self.answers_without_it = 0;
                self.signalled(ours).or(starting.map(|step| Happened::Starting(Box::new(step))))
            }
            // Ours is queued behind it.
            Some(other) if other.id < self.id && !other.state.has_ended() => {
                self.answers_without_it = 0;
                let is_first = !std::mem::replace(&mut self.is_known_to_wait, true);
                (is_first || other.state == RolloutState::Paused).then(|| waits(&other))
            }
            _ => self.recorded().await,
        }
    }

    async fn recorded(&mut self) -> Option<Happened> {
        let entries = bus::answer(self.cluster.history()).await.unwrap_or_default();
        let ours = entries.into_iter().find(|entry| entry.rollout == self.id);
        if let Some(ended) = ours.filter(|entry| entry.state.has_ended()) {
            return Some(Happened::Recorded(Box::new(ended)));
        }
        self.answers_without_it += 1;
        (self.answers_without_it >= ANSWERS_WITHOUT_IT).then_some(Happened::Lost)
    }
}

/// The first worker of the rollout that READY=1 is awaited of: systemd calls it `start` until then.
fn starting(status: &Status) -> Option<Step> {
    let runs = |step: &&Step| {
        let is_it = |worker: &Worker| worker.instance == step.instance && worker.sub_state == "start";
        step.state == StepState::Restarting && status.workers.iter().any(is_it)
    };
    status.rollout.first()?.steps.iter().find(runs).cloned()
}

fn waits(rollout: &Rollout) -> Happened {
    Happened::Waits { step_timeout: Duration::from_micros(rollout.step_timeout_usec) }
}
