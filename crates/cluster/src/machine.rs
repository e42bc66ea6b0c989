//! One rollout: it starts the extra workers, replaces the wanted ones, and stops the extra ones. The first
//! failure turns it back.
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
//! The machine trusts states, not signals. A finished job proves nothing until the unit is active with
//! another invocation id, and stays so for the settle time. After every event the machine checks the state of
//! each worker, and takes every worker that it may take. So it does not depend on an order of events. An
//! event that does not fit the state of its worker changes nothing.
//!
//! Three rules decide which workers may be taken:
//!
//! - The first worker is alone until it has settled.
//! - At most as many workers are under way at once as there are extra ones and ones that may be missing.
//! - A worker that serves is taken only while enough others serve. Those that have yet to settle do not
//!   count.

mod choose;
mod compare;
mod observe;
mod turn;

use crate::event::{Action, Attempt, Cause, Event, Fault, Outcome, Policy};
use crate::plan::Planned;
use crate::step::{Step, StepState};
use crate::unit::{Instance, Unit};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Workers are being replaced.
    Rolling,
    /// Workers are going back to the old release.
    Restoring,
    /// No further worker is taken. The rollout waits for those under way.
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
    /// Its time has passed.
    is_late: bool,
    cause: Option<Cause>,
    turns: u32,
    /// A worker was compared with the old ones, or the log already says that one could not be.
    is_comparing_told: bool,
}

impl Rollout {
    /// Begins a rollout, or goes on with one that an earlier orchestrator began. The plan says which workers
    /// are replaced already. If there is no worker to replace, the rollout is done at once. While it is
    /// paused, it takes none.
    pub fn begin(plan: &[Planned], policy: Policy, is_paused: bool) -> (Self, Vec<Action>) {
        let mut rollout = Self::new(plan, policy);
        rollout.is_paused = is_paused;
        let settling = rollout.steps.iter().filter(|step| step.state == StepState::Settling);
        let mut actions: Vec<_> = settling.map(|step| step.settle(policy.settle)).collect();
        actions.extend(rollout.advance());
        (rollout, actions)
    }

    /// Goes on with a way back that an earlier orchestrator began. The plan says which workers were replaced
    /// and have yet to go back.
    pub fn go_back(plan: &[Planned], policy: Policy, cause: Cause) -> (Self, Vec<Action>) {
        let mut rollout = Self::new(plan, policy);
        let actions = rollout.turn_back(cause);
        (rollout, actions)
    }

    fn new(plan: &[Planned], policy: Policy) -> Self {
        let steps = plan.iter().map(Step::new).collect();
        let phase = Phase::Rolling;
        Self {
            policy,
            steps,
            phase,
            is_paused: false,
            is_late: false,
            cause: None,
            turns: 0,
            is_comparing_told: false,
        }
    }

    /// Every worker's part, in the order of the plan.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Why it turned back or stopped.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Whether workers are going back to the old release.
    pub fn is_restoring(&self) -> bool {
        self.phase == Phase::Restoring
    }

    /// Whether nothing happens until an operator resumes or aborts the rollout.
    pub fn is_waiting(&self) -> bool {
        let is_over =
            |step: &Step| matches!(step.state, StepState::Done | StepState::Skipped) || step.is_surge();
        self.phase == Phase::Rolling
            && (self.is_paused || self.is_canary_full())
            && self.under_way() == 0
            && !self.steps.iter().all(is_over)
    }

    /// Whether the first workers are replaced, and an operator decides about the others.
    pub fn is_at_canary(&self) -> bool {
        self.is_waiting() && self.is_canary_full()
    }

    /// Whether a job of this rollout is under way for this worker.
    pub fn is_at_hand(&self, instance: Instance) -> bool {
        self.step(instance).is_some_and(Step::is_at_hand)
    }

    /// This worker's part.
    pub fn step(&self, instance: Instance) -> Option<&Step> {
        self.steps.iter().find(|step| step.instance == instance)
    }

    /// Notes the state of a worker from which nothing follows yet.
    pub(crate) fn note(&mut self, instance: Instance, unit: Unit) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.instance == instance) {
            step.unit = unit;
        }
    }

    /// Notes whether this worker's process is known to run the old release.
    pub fn note_old(&mut self, instance: Instance, runs_old: bool) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.instance == instance) {
            step.runs_old = runs_old;
        }
    }

    /// This worker is being inspected, after its link was set back. A process that starts after that executes
    /// the old release. The result comes next ([`Event::Looked`]).
    pub fn is_seen_anew(&mut self, instance: Instance) {
        if let Some(step) = self.steps.iter_mut().find(|step| step.instance == instance) {
            step.is_unseen = false;
        }
    }

    /// Takes one event and returns what to do.
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
                if self.is_at_canary() {
                    self.policy.canary = None;
                }
                self.is_paused = false;
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

    /// Takes every worker that it may take now, or ends.
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

    /// Stops the extra workers that are not needed any more.
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
