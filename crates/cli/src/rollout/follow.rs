//! Follows one rollout by its signals. Asks for the status now and then, in case a signal was missed.
//!
//! A restarted orchestrator continues the same rollout under the same id, so the follower waits while it is
//! away. If the orchestrator no longer reports the rollout, the history says how it ended.

use std::pin::Pin;
use std::time::Duration;

use api::{Cluster, Entry, Rollout, RolloutState, Rollouts, Status, Step, StepState, Worker};
use futures_util::{FutureExt, StreamExt};
use tokio::time::sleep;
use zbus::proxy::OwnerChangedStream;

use crate::exit::Failure;
use crate::{bus, clock};

/// After this time without a signal, the follower asks for the status.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same while the orchestrator is away.
const PATIENCE_WHILE_AWAY: Duration = Duration::from_secs(1);
/// systemd restarts the orchestrator within a second, but it may have to wait for the bus or for a disk.
const ABSENCE: Duration = Duration::from_secs(30);
/// After this many answers in a row without the rollout, no orchestrator continues it.
const ANSWERS_WITHOUT_IT: u32 = 3;

/// An event of the rollout or of the orchestrator.
pub(super) enum Happened {
    /// The rollout changed.
    Changed(Box<Change>),
    /// It did not change, for a good reason: an earlier rollout makes progress, or an operator paused it.
    Waits { step_timeout: Duration },
    /// It has not changed for a while: this worker runs, but has not said that it is ready.
    Starting(Box<Step>),
    /// The orchestrator went away.
    Away,
    /// The orchestrator is back.
    Back,
    /// The rollout ended while the orchestrator was away.
    Recorded(Box<Entry>),
    /// The bus is gone, the orchestrator stays away, or it knows nothing of the rollout.
    Lost,
}

/// A change of the rollout.
pub(super) struct Change {
    /// The rollout before; absent at first.
    pub(super) before: Option<Rollout>,
    /// The rollout now.
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
    /// Whether it was reported that this rollout waits for an earlier one.
    is_known_to_wait: bool,
    /// Completes when the follower no longer waits for an absent orchestrator.
    absence: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<'a> Follower<'a> {
    /// Performs `call`, which returns the rollout's id. It subscribes before the call, so it misses no step.
    pub(super) async fn begin(
        cluster: &'a Cluster,
        call: impl Future<Output = Result<u64, Failure>>,
    ) -> Result<Self, Failure> {
        let failure = |error: zbus::Error| bus::failure(error.into());
        let changes = cluster.rollouts().await.map_err(failure)?;
        let mut owners = cluster.owners().await.map_err(failure)?;
        let id = call.await?;
        // The orchestrator may have started before or during the call. Only what happens from here on counts.
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

    /// Waits for the next event. The future may be dropped at any moment.
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
            // If a signal and an answer wait together, the signal is newer, and the answer is dropped.
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
            // This rollout is queued behind it.
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

/// The first worker of the rollout that has not sent READY=1 yet. Until then, its sub-state is `start`.
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
