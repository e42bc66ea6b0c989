//! Turning back, or ending where there is no release to go back to.

use super::{Phase, Rollout, ignore};
use crate::event::{Action, Cause, Fault, OnFailure, Outcome};
use crate::step::{Step, StepState};

impl Rollout {
    /// A worker failed.
    pub(super) fn failed(&mut self, at: usize, fault: Fault) -> Vec<Action> {
        self.steps[at].state = StepState::Failed;
        let cause = Cause::Fault(self.steps[at].instance, fault);
        match self.policy.on_failure {
            OnFailure::Rollback if self.policy.has_previous => self.turn_back(cause),
            _ => self.stop_here(cause),
        }
    }

    pub(super) fn deadline(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Rolling if self.is_all_but_over() => ignore("every worker is replaced"),
            Phase::Rolling if self.policy.has_previous && self.policy.on_failure == OnFailure::Rollback => {
                self.turn_back(Cause::Deadline)
            }
            Phase::Rolling => self.stop_here(Cause::Deadline),
            // On the way back each worker has its own deadline, once it is taken.
            Phase::Restoring => {
                self.is_late = true;
                self.advance()
            }
            Phase::Halting | Phase::Finished => ignore("the rollout has turned back already"),
        }
    }

    pub(super) fn abort(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Rolling if self.is_all_but_over() => ignore("every worker is replaced"),
            Phase::Rolling | Phase::Halting if self.policy.has_previous => self.turn_back(Cause::Aborted),
            Phase::Rolling => self.stop_here(Cause::Aborted),
            _ => ignore("the rollout has turned back already"),
        }
    }

    /// Whether only draining extra workers are left to wait for. Without them there would be no capacity for
    /// a way back, and there is no reason for one.
    fn is_all_but_over(&self) -> bool {
        self.is_everyone_replaced()
            && !self.steps.iter().any(|step| step.is_surge() && step.state == StepState::Done)
    }

    /// Marks all workers that may run the new release, and begins to put them back.
    pub(super) fn turn_back(&mut self, cause: Cause) -> Vec<Action> {
        // The time is over only once, and workers that come back by themselves are not waited for after it.
        self.is_late |= cause == Cause::Deadline;
        self.cause = Some(cause);
        self.phase = Phase::Restoring;
        for step in self.steps.iter_mut().filter(|step| !step.is_surge()) {
            step.is_unseen = true;
            if step.is_touched() {
                step.state = StepState::Marked;
            } else if step.state == StepState::Failed {
                step.state = StepState::Waiting;
            }
        }
        let mut actions = vec![Action::RestoreRelease];
        actions.extend(self.drop_useless_surge());
        actions.extend(self.advance());
        actions
    }

    /// Takes no further worker.
    fn stop_here(&mut self, cause: Cause) -> Vec<Action> {
        // If a second worker under way fails, the cause is still the first failure.
        self.cause.get_or_insert(cause);
        self.phase = Phase::Halting;
        let mut actions = self.drop_useless_surge();
        actions.extend(self.advance());
        actions
    }

    /// Stops the surge workers that do not serve. One that failed would go on failing.
    fn drop_useless_surge(&mut self) -> Vec<Action> {
        // A surge worker that an earlier orchestrator replaced carries load. Whether it would have settled
        // again does not matter.
        for step in self.steps.iter_mut().filter(|step| step.is_surge()) {
            if step.state == StepState::Settling && step.is_inherited() {
                step.state = StepState::Done;
            }
        }
        let is_useless = |step: &Step| {
            let is_new =
                matches!(step.state, StepState::Restarting | StepState::Settling | StepState::Failed);
            step.is_surge() && is_new
        };
        let useless: Vec<_> = (0..self.steps.len()).filter(|at| is_useless(&self.steps[*at])).collect();
        useless.into_iter().map(|at| self.stop(at)).collect()
    }

    pub(super) fn restore(&mut self) -> Vec<Action> {
        // A worker may have come up on the new release just before its link was set back. A process that
        // starts after the inspection runs the old one.
        if self.steps.iter().any(|step| step.is_unseen) {
            return Vec::new();
        }
        let mut actions = Vec::new();
        while let Some(at) = self.next_to_restore() {
            actions.push(self.restart(at, StepState::Restoring));
        }
        if !self.is_anyone(StepState::Marked) && !self.is_anyone(StepState::Restoring) {
            actions.extend(self.end_after_surge());
        }
        actions
    }

    pub(super) fn restored(&mut self, at: usize, is_back: bool) -> Vec<Action> {
        self.steps[at].state = if is_back { StepState::Restored } else { StepState::Failed };
        self.advance()
    }

    pub(super) fn halt(&mut self) -> Vec<Action> {
        let is_under_way = |step: &Step| !step.is_surge() && step.is_under_way();
        if self.steps.iter().any(is_under_way) {
            return Vec::new();
        }
        self.end_after_surge()
    }

    /// Whether no wanted worker was touched.
    fn is_as_it_was(&self) -> bool {
        let is_untouched = |step: &Step| matches!(step.state, StepState::Waiting | StepState::Skipped);
        self.steps.iter().filter(|step| !step.is_surge()).all(is_untouched)
    }

    /// Stops the surge workers that are not needed. If a wanted worker did not come back, one stays in its
    /// place. The keeper stops it, like any surplus worker, when the wanted ones are ready.
    fn end_after_surge(&mut self) -> Vec<Action> {
        let mut actions = self.dismiss_surge();
        if self.is_anyone(StepState::Stopping) {
            return actions;
        }
        let cause = self.cause.clone().unwrap_or(Cause::Interrupted);
        // If systemd never had a worker's job, or dropped it, the worker may run the wrong release. It does
        // not matter whether it served before.
        let has_stayed = |step: &Step| step.unit.invocation == step.before;
        let was_not_ours = |step: &Step| !step.is_enqueued || step.is_canceled || has_stayed(step);
        let may_be_new = |step: &Step| was_not_ours(step) && step.has_another_process();
        let is_lost = |step: &Step| step.was_active || may_be_new(step);
        let has_failed = self.steps.iter().any(|step| step.state == StepState::Failed && is_lost(step));
        actions.extend(self.finish(match (self.phase, cause) {
            (Phase::Restoring, cause) if !has_failed => Outcome::Restored(cause),
            // The deadline passed while the last workers settled, and they did settle.
            (Phase::Halting, Cause::Deadline) if self.is_everyone_replaced() => Outcome::Done,
            (Phase::Halting, Cause::Aborted) if !has_failed => Outcome::Stopped,
            (Phase::Halting, cause) if self.is_as_it_was() => Outcome::Restored(cause),
            (_, cause) => Outcome::Failed(cause),
        }));
        actions
    }
}
