//! Following one rollout: signals first, a look now and then in case one was missed.

use std::time::Duration;

use api::{ClusterProxy, Rollout, RolloutChangedStream, RolloutState, Status};
use futures_util::{FutureExt, StreamExt};
use zbus::proxy::OwnerChangedStream;

use super::outcome::has_ended;
use crate::bus;
use crate::exit::Failure;

/// After so long without a signal the orchestrator is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many answers in a row that know nothing of the rollout mean that its end was missed.
const ANSWERS_WITHOUT_IT: u32 = 3;

/// What the one who follows has to know.
pub(super) enum Happened {
    /// The rollout changed.
    Changed(Box<Change>),
    /// The rollout before it, which it waits for, made progress.
    Elsewhere { step_timeout: Duration },
    /// The orchestrator or the bus went away, or knows nothing of the rollout any more.
    Vanished,
}

/// A rollout's progress.
pub(super) struct Change {
    /// As it was; absent at first.
    pub(super) before: Option<Rollout>,
    /// As it is.
    pub(super) now: Rollout,
}

/// Follows the rollout that it began.
pub(super) struct Follower<'a> {
    cluster: &'a ClusterProxy<'static>,
    changes: RolloutChangedStream,
    owners: OwnerChangedStream<'static>,
    id: u64,
    seen: Option<Rollout>,
    patience: Duration,
    answers_without_it: u32,
}

impl<'a> Follower<'a> {
    /// Asks for a rollout. Subscribed before, it cannot miss the first step.
    pub(super) async fn begin(cluster: &'a ClusterProxy<'static>) -> Result<Self, Failure> {
        let failure = |error: zbus::Error| bus::failure(error.into());
        let changes = cluster.receive_rollout_changed().await.map_err(failure)?;
        let mut owners = cluster.inner().receive_owner_changed().await.map_err(failure)?;
        let id = cluster.reload().await.map_err(bus::failure)?;
        // The call may have started the orchestrator; what counts is who owns the name from here on.
        while let Some(Some(_)) = owners.next().now_or_never() {}
        let (seen, patience, answers_without_it) = (None, Duration::ZERO, 0);
        Ok(Self { cluster, changes, owners, id, seen, patience, answers_without_it })
    }

    /// The id of the rollout.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the next thing that happens. May be dropped at any moment.
    pub(super) async fn next(&mut self) -> Happened {
        loop {
            let patience = self.patience;
            let answer = async {
                tokio::time::sleep(patience).await;
                self.cluster.status().await
            };
            // A signal is newer than an answer that waits beside it, which is then dropped.
            let happened = tokio::select! {
                biased;
                change = self.changes.next() => match change.as_ref().map(|signal| signal.args()) {
                    Some(Ok(args)) => self.signalled(args.rollout),
                    Some(Err(_)) => None,
                    None => Some(Happened::Vanished),
                },
                _ = self.owners.next() => Some(Happened::Vanished),
                answer = answer => match answer {
                    Ok(status) => self.answered(status),
                    Err(_) => Some(Happened::Vanished),
                },
            };
            self.patience = PATIENCE;
            if let Some(happened) = happened {
                return happened;
            }
        }
    }

    fn signalled(&mut self, rollout: Rollout) -> Option<Happened> {
        if rollout.id != self.id {
            return Some(Happened::Elsewhere {
                step_timeout: Duration::from_micros(rollout.step_timeout_usec),
            });
        }
        if self.seen.as_ref() == Some(&rollout) {
            return None;
        }
        let before = self.seen.replace(rollout.clone());
        Some(Happened::Changed(Box::new(Change { before, now: rollout })))
    }

    fn answered(&mut self, status: Status) -> Option<Happened> {
        match status.rollout.into_iter().next() {
            Some(ours) if ours.id == self.id => {
                self.answers_without_it = 0;
                self.signalled(ours)
            }
            // Ours is queued behind it.
            Some(other) if other.id < self.id && !has_ended(&other) => {
                self.answers_without_it = 0;
                None
            }
            _ => {
                self.answers_without_it += 1;
                (self.answers_without_it >= ANSWERS_WITHOUT_IT).then_some(Happened::Vanished)
            }
        }
    }

    /// Whether the rollout waits for another.
    pub(super) fn is_queued(&self) -> bool {
        self.seen.as_ref().is_none_or(|rollout| rollout.state == RolloutState::Queued)
    }
}
