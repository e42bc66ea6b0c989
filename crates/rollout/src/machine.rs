//! One rollout: extra workers are started, the wanted ones replaced, the extra ones stopped; the first failure
//! turns it around.
//!
//! ```text
//!  one worker   Waiting -> Restarting -> Settling -> Done          a surge worker ends   -> Stopping -> Stopped
//!                              |            |         |
//!                              +-- fault ---+---------+ crashed, as did most
//!                                     v
//!  all touched  Marked -> Restoring -> Restored, or Failed
//!
//!  the rollout  Rolling ---- all Done -----------------------> finished: Done
//!                 |  \------ nothing to go back to, halt ----> Halting -> finished: Failed, Stopped
//!                 v
//!               Restoring -- all Restored -------------------> finished: Restored, or Failed if one did not come back
//! ```
//!
//! The machine trusts levels, not edges: a finished job proves nothing until the unit is active with another
//! invocation, and stays so for the settle time. After every event it looks at where each worker is and takes
//! whatever may be taken now, so there is no order of events that it has to have foreseen. An event that does
//! not belong to where a worker is changes nothing.
//!
//! Three rules decide what may be taken. The first worker is alone until it has settled. No more workers are
//! under way at once than there are extra ones and ones that may be missing. And one that serves is taken
//! only while enough others do, not counting those that have yet to settle.

mod choose;
mod compare;
mod observe;
mod turn;

use crate::event::{Action, Attempt, Cause, Event, Fault, Outcome, Policy};
use crate::plan::Planned;
use crate::step::{Step, StepState};
use crate::unit::Instance;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Workers are replaced.
    Rolling,
    /// Workers go back to the old release.
    Restoring,
    /// No further worker is taken; those under way are waited for.
    Halting,
    /// Over.
    Finished,
}

/// A rollout under way.
#[derive(Debug, Clone)]
pub struct Rollout {
    policy: Policy,
    steps: Vec<Step>,
    phase: Phase,
    is_paused: bool,
    cause: Option<Cause>,
    turns: u32,
    /// A worker was compared with the old ones, or it was told that one could not be.
    is_comparing_told: bool,
}

impl Rollout {
    /// Begins, or goes on with what an orchestrator that is no more had begun: the plan says which workers are
    /// replaced already. Without a worker to replace it is done at once.
    pub fn begin(plan: &[Planned], policy: Policy) -> (Self, Vec<Action>) {
        let mut rollout = Self::new(plan, policy, Phase::Rolling);
        let settling = rollout.steps.iter_mut().filter(|step| step.state == StepState::Settling);
        let mut actions: Vec<_> = settling.map(|step| step.settle(policy.settle)).collect();
        actions.extend(rollout.advance());
        (rollout, actions)
    }

    /// Goes on with the way back that an orchestrator that is no more had begun: the plan says which workers
    /// were replaced and have yet to go back.
    pub fn go_back(plan: &[Planned], policy: Policy, cause: Cause) -> (Self, Vec<Action>) {
        let mut rollout = Self::new(plan, policy, Phase::Rolling);
        let actions = rollout.turn_back(cause);
        (rollout, actions)
    }

    fn new(plan: &[Planned], policy: Policy, phase: Phase) -> Self {
        let steps = plan.iter().map(Step::new).collect();
        Self { policy, steps, phase, is_paused: false, cause: None, turns: 0, is_comparing_told: false }
    }

    /// Every worker's part, in the order of the plan.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Why it turned back or stopped.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Whether workers are being put back on the old release.
    pub fn is_restoring(&self) -> bool {
        self.phase == Phase::Restoring
    }

    /// Whether nothing happens until somebody resumes or aborts it.
    pub fn is_waiting(&self) -> bool {
        let is_over =
            |step: &Step| matches!(step.state, StepState::Done | StepState::Skipped) || step.is_surge();
        self.phase == Phase::Rolling
            && (self.is_paused || self.is_canary_full())
            && self.under_way() == 0
            && !self.steps.iter().all(is_over)
    }

    /// Whether a job of ours is under way for this worker.
    pub fn is_at_hand(&self, instance: Instance) -> bool {
        self.step(instance).is_some_and(Step::is_at_hand)
    }

    /// This worker's part.
    pub fn step(&self, instance: Instance) -> Option<&Step> {
        self.steps.iter().find(|step| step.instance == instance)
    }

    /// Takes one event and says what to do.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        if self.phase == Phase::Finished {
            return ignore("the rollout is over");
        }
        match event {
            Event::Enqueued(instance) => self.at(instance, |rollout, at| {
                rollout.steps[at].is_enqueued = true;
                Vec::new()
            }),
            Event::JobRefused { instance, reason } => {
                self.at(instance, |rollout, at| rollout.job_refused(at, reason))
            }
            Event::JobFinished { instance, result, unit } => {
                self.at(instance, |rollout, at| rollout.job_finished(at, result, unit))
            }
            Event::Looked { instance, unit } => self.at(instance, |rollout, at| rollout.looked(at, unit)),
            Event::Settled { instance, unit, compared } => {
                self.at(instance, |rollout, at| rollout.settled(at, unit, compared))
            }
            Event::Held(instance) => self.at(instance, Self::held),
            Event::StepDeadline { instance, attempt } => {
                self.at(instance, |rollout, at| rollout.step_deadline(at, attempt))
            }
            Event::Deadline => self.deadline(),
            Event::Pause => {
                self.is_paused = true;
                Vec::new()
            }
            Event::Resume => {
                self.is_paused = false;
                self.policy.canary = None;
                self.advance()
            }
            Event::Abort => self.abort(),
        }
    }

    fn at(
        &mut self,
        instance: Instance,
        handle: impl FnOnce(&mut Self, usize) -> Vec<Action>,
    ) -> Vec<Action> {
        match self.steps.iter().position(|step| step.instance == instance) {
            Some(at) => handle(self, at),
            None => ignore("a worker that has no part in the rollout"),
        }
    }

    /// Takes whatever may be taken now, or ends.
    fn advance(&mut self) -> Vec<Action> {
        match self.phase {
            Phase::Rolling => self.roll(),
            Phase::Restoring => self.restore(),
            Phase::Halting => self.halt(),
            Phase::Finished => Vec::new(),
        }
    }

    fn roll(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(at) = self.next_to_replace() {
            actions.push(self.restart(at, StepState::Restarting));
        }
        if self.is_everyone_replaced() {
            actions.extend(self.dismiss_surge());
            if !self.is_anyone(StepState::Stopping) && !self.is_surge_left() {
                actions.extend(self.finish(Outcome::Done));
            }
        }
        actions
    }

    fn restart(&mut self, at: usize, state: StepState) -> Action {
        let attempt = self.steps[at].begin(state);
        Action::Restart(self.steps[at].instance, attempt)
    }

    fn stop(&mut self, at: usize) -> Action {
        let attempt = self.steps[at].begin(StepState::Stopping);
        Action::Stop(self.steps[at].instance, attempt)
    }

    /// Stops the extra workers that nobody has to stand in for any more.
    fn dismiss_surge(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(at) = self.next_to_dismiss() {
            actions.push(self.stop(at));
        }
        actions
    }

    fn step_deadline(&mut self, at: usize, attempt: Attempt) -> Vec<Action> {
        let step = &self.steps[at];
        if step.attempt != attempt {
            return ignore("the deadline of an earlier try");
        }
        match step.state {
            StepState::Restarting | StepState::Settling => self.failed(at, Fault::TooLong),
            StepState::Restoring => self.restored(at, false),
            StepState::Stopping => self.stopped(at),
            _ => ignore("the deadline of a step that is over"),
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Vec<Action> {
        self.phase = Phase::Finished;
        vec![Action::Finish(outcome)]
    }
}

fn ignore(why: &'static str) -> Vec<Action> {
    vec![Action::Ignore(why)]
}
