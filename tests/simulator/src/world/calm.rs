//! The world calms down: operators stop interfering, and what was broken is repaired. Then all is judged.

use cluster::event::OnFailure;
use cluster::input::Request;
use cluster::order::Target;
use cluster::view::{RolloutState, Worker, WorkerState};

use super::{Item, Socket, World};
use crate::laws::is_over;
use crate::release::Quality;

/// How far the world is on its way to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calm {
    /// The last rollouts come to their end.
    Settling,
    /// Nothing has been under way for a while, unless something has begun since.
    Settled,
    /// The last rollout, to a good release, comes to its end.
    LastRollout,
    /// The last rollout ended a while ago.
    AtRest,
    /// Nothing has happened for long.
    Over,
}

/// How long after a rollout all workers that should run do, in us.
const AFTER: u64 = 75_000_000;
/// How long nothing happens at the end, in us.
const REST: u64 = 200_000_000;
/// How long all rollouts take at most in a calm world, in us.
const LONGEST: u64 = 1_200_000_000;

impl World {
    pub(super) fn calm_down(&mut self) {
        self.trace(|_| "the world calms down".to_owned());
        self.chaos.is_quiet = true;
        self.bus.lateness = 0;
        self.mask(false);
        self.socket = Socket::Listens;
        self.disk.is_configuration_valid = true;
        self.disk.is_boot_known = true;
        self.disk.releases.iter_mut().for_each(|release| release.is_runnable = true);
        self.orchestrator.spare();
        self.decide();
        self.bound = self.now + LONGEST;
        self.at(1_000_000, Item::Calm(Calm::Settling));
    }

    fn is_rolling(&self) -> bool {
        self.orchestrator.core.is_none()
            || !self.orchestrator.is_ready
            || !self.people.asked.is_empty()
            || !self.people.awaited.is_empty()
            || self.rollout_state().is_some_and(|state| !is_over(state) && !self.waits_for_an_operator(state))
    }

    /// Whether a rollout does not go on because an operator has stopped every worker that could try it.
    fn waits_for_an_operator(&self, state: RolloutState) -> bool {
        let Some(core) = self.orchestrator.core.as_ref().filter(|_| state == RolloutState::Queued) else {
            return false;
        };
        let view = core.view(self.clock());
        let is_wanted = |worker: &&Worker| worker.instance.number() <= view.properties.desired;
        // A worker that was killed because it drained for too long is failed, and counts as stopped.
        let is_stopped = |worker: &Worker| match worker.state {
            WorkerState::Stopped => true,
            WorkerState::Failed => self.people.may_stay & (1 << worker.instance.number()) != 0,
            _ => false,
        };
        view.workers.iter().filter(is_wanted).all(is_stopped)
    }

    pub(super) fn calm(&mut self, calm: Calm) {
        if self.rollout_state() == Some(RolloutState::Paused) {
            self.ask(Request::Resume);
        }
        let (pause, next) = match calm {
            Calm::Settling | Calm::LastRollout if self.is_rolling() => (1_000_000, calm),
            Calm::Settling => (AFTER, Calm::Settled),
            Calm::Settled if self.is_rolling() => (1_000_000, Calm::Settling),
            Calm::Settled => {
                self.judge_calm();
                self.last_rollout();
                (1_000_000, Calm::LastRollout)
            }
            // During the watch the orchestrator looks at the queue again and again.
            Calm::LastRollout => (AFTER.max(self.watch()), Calm::AtRest),
            Calm::AtRest if self.is_rolling() => (1_000_000, Calm::LastRollout),
            Calm::AtRest => {
                self.judge_last();
                self.books.effects_at_rest = self.orchestrator.effects;
                (REST, Calm::Over)
            }
            Calm::Over => {
                self.judge_rest();
                return self.queue.clear();
            }
        };
        self.at(pause, Item::Calm(next));
    }

    fn last_rollout(&mut self) {
        self.disk.settings.on_failure = OnFailure::Rollback;
        self.disk.settings.deadline = None;
        let id = self.new_name("last");
        self.books.last = Some(self.disk.add(id.clone(), Quality::Good, false));
        self.order(Target::Deploy(id), None);
        self.bound = self.now + LONGEST + self.watch();
    }

    fn watch(&self) -> u64 {
        cluster::moment::usec(self.disk.settings.watch)
    }
}
