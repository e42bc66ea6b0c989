//! Whether workers accept connections after a rollout to another release.
//!
//! READY=1 is the worker's word. A program that says it, and then listens on a port of its own, leaves every
//! client waiting in the queue of the shared listener. So during the watch the orchestrator looks at that
//! queue every few seconds. At other times it does not look, and is not woken.

use std::time::Duration;

use names::Instance;

use super::{Cluster, Purpose};
use crate::accept::{Oldest, Waiting};
use crate::effect::{Effect, Token};
use crate::moment::{Moment, usec};

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// So many looks in a row have to show that nothing was accepted since the look before. One is not enough: a
/// machine that was suspended may have had no time to accept.
const ENOUGH: u32 = 2;

/// What the looks have shown since the watch began, or since another rollout.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    /// The look that is not answered yet.
    asked: Option<Token>,
    /// When that look, or else the last one, was begun.
    begun: Moment,
    /// When the look before that was begun. `None` if the next look is the first one that counts.
    since: Option<Moment>,
    /// When the next one is due.
    look_at: Moment,
    /// The queues cannot be seen.
    is_blind: bool,
    oldest: Oldest,
    /// How many looks in a row showed that nothing was accepted.
    stuck: u32,
    /// How many connections waited at the last look.
    waiting: usize,
}

impl Cluster {
    /// Looks at the queues if that is due.
    pub(super) fn look_at_queues(&mut self) {
        if !self.looks_at_queues() {
            self.accepting = Accepting::default();
            return;
        }
        let state = &self.accepting;
        if state.is_blind || state.asked.is_some() || state.look_at > self.now.moment {
            return;
        }
        let token = self.token(Purpose::Queues);
        self.effects.push_back(Effect::LookAtQueues(token));
        (self.accepting.asked, self.accepting.begun) = (Some(token), self.now.moment);
    }

    /// Whether the release is watched, and nothing else changes the workers.
    fn looks_at_queues(&self) -> bool {
        let now = usec(self.now.moment);
        let is_watched =
            self.ledger.watched.as_ref().is_some_and(|watched| {
                now <= watched.until_usec && self.release.as_ref() == Some(&watched.to)
            });
        let is_quiet = !self.is_busy() && self.unfinished.is_none();
        is_watched && is_quiet && self.is_running() && self.is_connected
    }

    /// The queues were looked at.
    pub(super) fn queues_seen(&mut self, token: Token, seen: Result<Option<Waiting>, String>) {
        if self.accepting.asked != Some(token) {
            return;
        }
        let begun = self.accepting.begun;
        let are_ready = self.are_ready_since(self.accepting.since.unwrap_or(begun));
        let look_at = self.in_time(EVERY);
        let state = &mut self.accepting;
        (state.asked, state.look_at) = (None, look_at);
        match seen {
            Ok(Some(waiting)) if are_ready => {
                state.since = Some(begun);
                state.stuck = if state.oldest.is_stuck(&waiting) { state.stuck + 1 } else { 0 };
                state.waiting = waiting.iter().map(|queue| queue.len()).sum();
            }
            Ok(_) => (state.oldest, state.since, state.stuck) = (Oldest::default(), None, 0),
            Err(error) => {
                state.is_blind = true;
                self.warn(format!("{error}; a release that accepts no connection is not undone"));
            }
        }
    }

    /// Whether all wanted workers, and at least one, have been ready since this time. A worker that an
    /// operator stopped is not wanted.
    fn are_ready_since(&self, since: Moment) -> bool {
        let mut wanted =
            Instance::first(self.settings.workers).filter(|i| !self.ledger.is_held(*i)).peekable();
        let is_ready = |instance: Instance| {
            self.workers.get(&instance).is_some_and(|worker| {
                let is_active = worker.info.unit().is_active() && worker.pause.is_none();
                is_active && worker.info.active_usec <= usec(since)
            })
        };
        wanted.peek().is_some() && wanted.all(is_ready)
    }

    /// How many connections wait, if no worker accepts although all are ready.
    pub(super) fn waiting_in_vain(&self) -> Option<usize> {
        Some(self.accepting.waiting).filter(|_| self.accepting.stuck >= ENOUGH)
    }

    pub(super) fn look_wake(&self) -> Option<Moment> {
        let is_next = self.accepting.asked.is_none() && !self.accepting.is_blind;
        let until = self.ledger.watched.as_ref()?.until_usec;
        let at = self.accepting.look_at;
        Some(at).filter(|at| is_next && usec(*at) <= until && self.looks_at_queues())
    }
}
