//! What is announced of a rollout under way.

use cluster::history::{Entry, Kind, State};
use cluster::release::ReleaseId;
use cluster::step::StepState;
use cluster::view::{self, RolloutState};
use names::Instance;

use super::take::is_over;
use super::{Rolled, has};
use crate::systemd::STRANGER;
use crate::world::{Item, World};

/// When a rollout waits for an operator, others may wait behind it for this long, in us.
const REFUSED_WITHIN: u64 = 3_000_000;

impl World {
    /// The orchestrator announces the state of a rollout.
    pub(crate) fn announced(&mut self, rollout: &view::Rollout) {
        let is_known = self.books.rolled.as_ref().is_some_and(|rolled| rolled.id == rollout.id);
        if rollout.state == RolloutState::Queued {
            return;
        }
        if rollout.state == RolloutState::Refused {
            self.outcomes.push("refused");
            self.watch_withdrawn(rollout);
            return self.people.awaited.retain(|(id, _)| *id != rollout.id);
        }
        if !is_known {
            self.begins(rollout);
        }
        self.watch_steps(rollout);
        let desired = self.desired();
        let Some(rolled) = &mut self.books.rolled else { return };
        if rolled.steps.is_empty() {
            rolled.desired = desired;
        }
        // A worker that an operator stopped has shown nothing, even if it is started again.
        let skipped = rollout.steps.iter().filter(|step| step.state == StepState::Skipped);
        rolled.trials &= !skipped.fold(0, |bits: u16, step| bits | 1 << step.instance.number());
        let was_waiting = rolled.is_waiting;
        rolled.is_waiting = rollout.state == RolloutState::Paused;
        rolled.steps.clone_from(&rollout.steps);
        let is_back = |step: &view::Step| {
            matches!(step.state, StepState::Marked | StepState::Restoring | StepState::Restored)
        };
        rolled.is_restoring |= rollout.steps.iter().any(is_back);
        if rolled.is_waiting && !was_waiting {
            let (life, rollout) = (self.orchestrator.life, rollout.id);
            self.at(REFUSED_WITHIN, Item::ExpectNone { life, rollout });
        }
        if is_over(rollout.state) {
            self.ends(rollout);
        }
    }

    fn begins(&mut self, rollout: &view::Rollout) {
        let find = |id: &Option<cluster::release::ReleaseId>| id.as_ref().and_then(|id| self.disk.find(id));
        let (from, to) = (find(&rollout.from), find(&rollout.to));
        let from = from.filter(|from| to.is_some_and(|to| to != *from));
        let bits = |is: &dyn Fn(u32) -> bool| (1..=STRANGER).filter(|n| is(*n)).fold(0, |b, n| b | 1 << n);
        let served = bits(&|n| self.systemd.service(n).is_active());
        let executes =
            |n: u32| self.systemd.service(n).has_process() && self.systemd.service(n).release == to;
        let had = bits(&|n| self.disk.links[n as usize] == to || executes(n));
        let noted = self.disk.history.iter().rev().find(|entry| entry.id == rollout.id);
        let canary = noted.and_then(|entry| entry.canary);
        let begun = noted.map(|entry| entry.begun_monotonic_usec + self.systemd.booted).unwrap_or(self.now);
        let desired = self.desired();
        if rollout.kind == Kind::Undo {
            self.watch_undo();
        }
        if let Some(to) = &rollout.to {
            self.watch_left(to, rollout.kind == Kind::Package);
        }
        self.books.rolled = Some(Rolled {
            id: rollout.id,
            kind: rollout.kind,
            from,
            to,
            begun,
            desired,
            canary,
            steps: Vec::new(),
            is_waiting: false,
            is_proved: false,
            proved: [0; STRANGER as usize + 1],
            taken: 0,
            idle: 0,
            trials: 0,
            served,
            had,
            // The orchestrator could not write down that it had ended, so the next one continues it.
            was_interrupted: self.books.ended == Some(rollout.id),
            is_noted: false,
            was_whole: false,
            dropped: 0,
            stopped_since: 0,
            // A job that polkit has yet to decide about may come in the middle of the rollout.
            is_unsure: (self.chaos.has(crate::chaos::Class::LateBus) && !self.chaos.is_quiet)
                || !self.bus.undecided.is_empty(),
            is_restoring: false,
        });
    }

    /// How many workers the orchestrator wants.
    pub(crate) fn desired(&self) -> u32 {
        let view = self.orchestrator.core.as_ref().map(|core| core.view(self.clock()));
        view.map_or(0, |view| view.properties.desired)
    }

    /// An undo begins.
    fn watch_undo(&mut self) {
        let way_back = self.books.last_done.filter(|done| matches!(done.kind, Kind::Rollback | Kind::Undo));
        if let Some(done) = way_back {
            self.violate("a rollback is not undone", || format!("what was undone came by {:?}", done.kind));
        }
    }

    fn watch_steps(&mut self, rollout: &view::Rollout) {
        let Some(rolled) = &self.books.rolled else { return };
        let was = |step: &view::Step| rolled.step(step.instance.number()).map(|step| step.state);
        let is_limited = self.disk.settings.limits.is_set()
            && matches!(rollout.kind, Kind::Package | Kind::Deploy | Kind::Reload);
        let (mut done, mut seen) = (Vec::new(), None);
        for step in &rollout.steps {
            // An extra worker that stays for the way back has not settled. It is only not stopped yet.
            let stays = step.is_surge && (rollout.failure.is_some() || rolled.was_interrupted);
            if step.state != StepState::Done || was(step) != Some(StepState::Settling) || stays {
                continue;
            }
            let worker = step.instance.number();
            done.push(worker);
            let settle = u64::try_from(self.disk.settings.settle.as_micros()).unwrap_or(u64::MAX);
            let (service, heard) = (self.systemd.service(worker), self.orchestrator.heard(worker));
            let is_the_same = service.is_active() && self.is_as_heard(worker);
            let is_ready =
                heard.is_active() && (!is_the_same || service.has_been_ready_for(settle, self.now));
            if !is_ready || heard.fed_after < settle / 2 {
                seen = Some(("settled", format!("{heard:?} of {service:?}")));
            } else if is_limited && has(self.books.wrong, worker) {
                seen = Some(("numbers", format!("worker {worker} came through")));
            }
        }
        let blamed = rollout.failure.as_ref().filter(|failure| failure.reason.contains("5xx"));
        if let Some(failure) = blamed
            && !(is_limited && has(self.books.wrong, failure.instance.number()))
        {
            seen = Some(("numbers", format!("{} failed", failure.instance)));
        }
        if let Some((law, seen)) = seen {
            self.violate(law, || seen);
        }
        let runs: Vec<_> = done.iter().map(|n| (*n, self.systemd.service(*n).invocation)).collect();
        let Some(rolled) = &mut self.books.rolled else { return };
        for (worker, invocation) in runs {
            rolled.is_proved = true;
            rolled.proved[worker as usize] = invocation;
        }
    }

    /// An instance is linked to a release. A worker may have settled before that is announced.
    pub(crate) fn watch_link(&mut self, instance: Instance, release: &ReleaseId) {
        if self.disk.links[instance.number() as usize] != self.disk.find(release) {
            self.books.pointing |= 1 << instance.number();
        }
        let Some(core) = self.orchestrator.core.as_ref() else { return };
        let view = core.view(self.clock());
        let is_proved =
            view.rollout.is_some_and(|r| r.steps.iter().any(|step| step.state == StepState::Done));
        if let Some(rolled) = &mut self.books.rolled {
            rolled.is_proved |= is_proved;
        }
    }

    /// The orchestrator learns what this instance's link says, unless it has asked for another one since.
    pub(crate) fn watch_linked(&mut self, instance: Instance) {
        if !self.orchestrator.is_linking(instance) {
            self.books.pointing &= !(1 << instance.number());
        }
    }

    /// The outcome of a rollout is decided when it is written down.
    pub(crate) fn watch_history(&mut self, entries: &[Entry]) {
        let Some(rolled) = &self.books.rolled else { return };
        let ended = entries.iter().find(|entry| entry.id == rolled.id && entry.ended_usec.is_some());
        let is_noted = ended.is_some();
        if ended.is_some_and(|entry| entry.state == State::Failed) {
            // The orchestrator may be killed before it announces that.
            self.books.last_end = Some(RolloutState::Failed);
        }
        let was_whole = self.is_whole(rolled, &rolled.steps);
        if let Some(rolled) = &mut self.books.rolled {
            (rolled.is_noted, rolled.was_whole) = (is_noted, was_whole);
        }
    }

    pub(super) fn is_as_heard(&self, worker: u32) -> bool {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.systemd.service(worker).invocation.to_le_bytes());
        self.orchestrator.heard(worker).invocation.is_some_and(|heard| heard.0 == id)
    }

    /// A rollout has waited for an operator for a while.
    pub(crate) fn expect_none_waits(&mut self, rollout: u64) {
        let is_waiting = self.books.rolled.as_ref().is_some_and(|r| r.id == rollout && r.is_waiting);
        let behind: Vec<u64> =
            self.people.awaited.iter().map(|(id, _)| *id).filter(|id| *id != rollout).collect();
        if is_waiting
            && !self.people.has_paused
            && self.rollout_state() == Some(RolloutState::Paused)
            && !behind.is_empty()
        {
            self.violate("who waits for a person is refused", || format!("{behind:?} wait behind {rollout}"));
        }
    }

    /// Another rollout was accepted. It must not wait behind one that waits for an operator.
    pub(crate) fn watch_awaited(&mut self) {
        if let Some(rolled) = self.books.rolled.as_ref().filter(|rolled| rolled.is_waiting) {
            let (life, rollout) = (self.orchestrator.life, rolled.id);
            self.at(REFUSED_WITHIN, Item::ExpectNone { life, rollout });
        }
    }
}
