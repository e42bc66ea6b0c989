//! What an event means for the worker it is about.

use std::time::Duration;

use super::{Phase, Rollout, ignore};
use crate::event::{Action, Fault};
use crate::numbers::Compared;
use crate::step::StepState;
use crate::unit::{ActiveState, JobResult, Unit};

/// A worker that has not fed its watchdog late enough is looked at again after this time at the earliest.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);

impl Rollout {
    pub(super) fn job_refused(&mut self, at: usize, reason: String) -> Vec<Action> {
        match self.steps[at].state {
            StepState::Restarting => {
                self.steps[at].is_refused = true;
                self.failed(at, Fault::Refused(reason))
            }
            StepState::Restoring => self.restored(at, false),
            StepState::Stopping => self.stopped(at),
            _ => ignore("a refused job of a worker that is not at hand"),
        }
    }

    pub(super) fn job_finished(&mut self, at: usize, result: JobResult, unit: Unit) -> Vec<Action> {
        let step = &mut self.steps[at];
        if !step.is_at_hand() {
            return self.looked(at, unit);
        }
        step.see(unit);
        step.is_enqueued = true;
        step.is_canceled |= result == JobResult::Canceled;
        match (step.state, result) {
            (StepState::Restarting, JobResult::Done) => self.restart_done(at),
            (StepState::Restarting | StepState::Restoring, JobResult::Canceled) => self.looked(at, unit),
            (StepState::Restarting, result) => self.failed(at, Fault::Job(result)),
            // However the job ended: systemd may have gone on trying since, and got there.
            (StepState::Restoring, _) => {
                let is_back = step.is_replaced();
                self.restored(at, is_back)
            }
            _ => self.looked(at, unit),
        }
    }

    /// The job's end may have been missed: the unit itself tells.
    pub(super) fn looked(&mut self, at: usize, unit: Unit) -> Vec<Action> {
        let before = self.steps[at].see(unit);
        let is_back = self.steps[at].is_enqueued && self.steps[at].is_replaced();

        match self.steps[at].state {
            StepState::Restarting | StepState::Restoring if unit.has_job => ignore("its job is still there"),
            StepState::Restarting | StepState::Restoring => self.looked_at_restart(at),
            StepState::Settling if self.is_as_before(at, before) => ignore("the worker is as it was"),
            StepState::Settling => self.failed(at, Fault::Unsettled),
            StepState::Done => self.looked_at_replaced(at),
            StepState::Skipped if unit.is_up() => {
                self.steps[at].state = match self.phase {
                    Phase::Restoring => StepState::Marked,
                    _ => StepState::Waiting,
                };
                self.advance()
            }
            // It came up before the old release was current again, or after: nobody can tell.
            StepState::Waiting if self.phase == Phase::Restoring && self.steps[at].has_another_process() => {
                self.steps[at].state = StepState::Marked;
                self.advance()
            }
            // systemd goes on trying, and has got there.
            StepState::Failed if self.phase == Phase::Restoring && is_back => self.restored(at, true),
            // It has not lost its process after all.
            StepState::Marked if self.steps[at].is_original() && !unit.has_job => {
                self.steps[at].state = StepState::Waiting;
                self.advance()
            }
            StepState::Stopping if unit.has_job => ignore("its job is still there"),
            StepState::Stopping => self.looked_at_stop(at),
            _ => self.advance(),
        }
    }

    fn looked_at_restart(&mut self, at: usize) -> Vec<Action> {
        let step = &self.steps[at];
        let state = step.state;
        match step.unit.active {
            // Without an answer, or with another's job in place of ours, another process proves nothing: it may have
            // crashed and come up before the link was flipped.
            _ if !step.is_enqueued => self.ask_again(at),
            ActiveState::Active if step.is_replaced() && !step.is_canceled => match state {
                StepState::Restoring => self.restored(at, true),
                _ => self.restart_done(at),
            },
            // No job, and the old process or one that somebody else asked for.
            ActiveState::Active => self.ask_again(at),
            ActiveState::Inactive if step.is_canceled => self.skip(at),
            ActiveState::Failed => self.did_not_start(at, Fault::Job(JobResult::Failed)),
            ActiveState::Inactive => self.did_not_start(at, Fault::NotActive(ActiveState::Inactive)),
            // A commanded restart sets the count back: what is counted since is this process's failure.
            ActiveState::Activating if step.unit.restarts > 0 => {
                self.did_not_start(at, Fault::Job(JobResult::Failed))
            }
            ActiveState::Activating | ActiveState::Deactivating | ActiveState::Other => {
                ignore("the worker is between two states")
            }
        }
    }

    /// systemd does not know of the job, or no more: the others may have become fewer meanwhile.
    fn ask_again(&mut self, at: usize) -> Vec<Action> {
        let step = &mut self.steps[at];
        step.is_asked = false;
        step.is_enqueued = false;
        step.is_canceled = false;
        step.was_active |= step.unit.is_active();
        if step.unit.is_active() && !self.may_go_on_taking(at) {
            return ignore("the others have become too few");
        }
        let step = &mut self.steps[at];
        step.is_asked = true;
        vec![Action::Restart(step.instance, step.attempt)]
    }

    fn did_not_start(&mut self, at: usize, fault: Fault) -> Vec<Action> {
        match self.steps[at].state {
            StepState::Restoring => self.restored(at, false),
            _ => self.failed(at, fault),
        }
    }

    fn looked_at_stop(&mut self, at: usize) -> Vec<Action> {
        let step = &self.steps[at];
        match step.unit.active {
            ActiveState::Inactive | ActiveState::Failed => self.stopped(at),
            // Somebody wants it to run: that it is surplus is no business of the rollout any more.
            ActiveState::Active if step.is_canceled => self.stopped(at),
            ActiveState::Active | ActiveState::Activating => {
                vec![Action::Stop(step.instance, step.attempt)]
            }
            ActiveState::Deactivating | ActiveState::Other => ignore("the worker is between two states"),
        }
    }

    fn restart_done(&mut self, at: usize) -> Vec<Action> {
        let step = &mut self.steps[at];
        if !step.unit.is_active() {
            let state = step.unit.active;
            return self.failed(at, Fault::NotActive(state));
        }
        if !step.is_replaced() {
            return self.failed(at, Fault::SameProcess);
        }
        step.state = StepState::Settling;
        step.restarts = step.unit.restarts;
        vec![step.settle(self.policy.settle)]
    }

    pub(super) fn settled(
        &mut self,
        at: usize,
        unit: Unit,
        compared: Result<Compared, String>,
    ) -> Vec<Action> {
        self.steps[at].settles = self.steps[at].settles.saturating_sub(1);
        if self.steps[at].state != StepState::Settling || self.steps[at].settles > 0 {
            return self.looked(at, unit);
        }
        let before = self.steps[at].see(unit);
        if !self.is_as_before(at, before) {
            return self.failed(at, Fault::Unsettled);
        }
        // One that became ready and hangs since looks active until its watchdog is over.
        if unit.fed_after.is_some_and(|fed| fed < self.policy.settle / 2) {
            let pause = (self.policy.settle / 4).max(SHORTEST_LOOK);
            return vec![self.steps[at].settle(pause)];
        }
        let mut actions = match self.compare(at, compared) {
            Ok(told) => Vec::from_iter(told),
            Err(excess) => return self.failed(at, Fault::Numbers(excess)),
        };
        self.turns += 1;
        self.steps[at].turn = self.turns;
        self.steps[at].state = StepState::Done;
        actions.extend(self.advance());
        actions
    }

    /// Whether it still is the process that was seen before.
    fn is_as_before(&self, at: usize, before: Unit) -> bool {
        let step = &self.steps[at];
        step.unit.is_active()
            && step.unit.invocation == before.invocation
            && step.unit.restarts == step.restarts
    }

    /// One crash may have any reason; when most of those replaced have crashed since, it is the release.
    fn looked_at_replaced(&mut self, at: usize) -> Vec<Action> {
        let step = &mut self.steps[at];
        let has_crashed = step.unit.restarts > step.restarts || step.unit.active == ActiveState::Failed;
        step.restarts = step.unit.restarts;
        step.has_crashed |= has_crashed;
        let is_gone = step.unit.active == ActiveState::Inactive && !step.unit.has_job;
        if step.is_surge() && is_gone {
            step.state = StepState::Waiting;
        }
        let replaced = self.steps.iter().filter(|step| step.state == StepState::Done);
        let (crashed, others): (Vec<_>, Vec<_>) = replaced.partition(|step| step.has_crashed);
        if has_crashed && self.phase == Phase::Rolling && crashed.len() > others.len() {
            return self.failed(at, Fault::Crashed);
        }
        self.advance()
    }

    /// Somebody stopped it on purpose.
    pub(super) fn held(&mut self, at: usize) -> Vec<Action> {
        match self.steps[at].state {
            StepState::Waiting
            | StepState::Settling
            | StepState::Done
            | StepState::Marked
            | StepState::Restored => self.skip(at),
            StepState::Restarting | StepState::Restoring => {
                self.steps[at].is_canceled = true;
                ignore("its unit will tell whether it is stopped")
            }
            _ => ignore("a worker that is out already"),
        }
    }

    fn skip(&mut self, at: usize) -> Vec<Action> {
        let step = &mut self.steps[at];
        step.state = match self.phase {
            // The others need it.
            Phase::Rolling if step.is_surge() => StepState::Waiting,
            _ if step.is_surge() => StepState::Stopped,
            _ => StepState::Skipped,
        };
        step.unit.active = ActiveState::Inactive;
        self.advance()
    }

    pub(super) fn stopped(&mut self, at: usize) -> Vec<Action> {
        self.steps[at].state = StepState::Stopped;
        self.advance()
    }
}
