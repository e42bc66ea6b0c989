//! What an event means for its worker.

use std::time::Duration;

use super::{Phase, Rollout, ignore};
use crate::event::{Action, Fault};
use crate::numbers::Compared;
use crate::step::StepState;
use crate::unit::{ActiveState, JobResult, Unit};

/// The least time until a worker that has not fed its watchdog late enough is inspected again.
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
            // The result of the job does not matter: systemd may have gone on trying since, with success.
            (StepState::Restoring, _) => {
                let is_back = step.is_replaced();
                self.restored(at, is_back)
            }
            _ => self.looked(at, unit),
        }
    }

    /// The end of the job may have been missed. The unit itself shows it.
    pub(super) fn looked(&mut self, at: usize, unit: Unit) -> Vec<Action> {
        let before = self.steps[at].see(unit);
        let is_back = self.steps[at].is_enqueued && self.steps[at].is_replaced();

        match self.steps[at].state {
            StepState::Restarting | StepState::Restoring if unit.has_job => ignore("its job is still there"),
            StepState::Restarting | StepState::Restoring => self.looked_at_restart(at),
            StepState::Settling if self.is_as_before(at, before) => ignore("the worker is as it was"),
            // Who asked for this stop, and whether the worker stays down, is known when the job is done. No
            // release is to blame for it.
            StepState::Settling if self.steps[at].is_being_stopped() => ignore("an operator stops it"),
            StepState::Settling => self.failed(at, Fault::Unsettled),
            StepState::Done => self.looked_at_replaced(at),
            StepState::Skipped if unit.is_up() => {
                self.steps[at].state = match self.phase {
                    Phase::Restoring if self.steps[at].runs_old => StepState::Restored,
                    Phase::Restoring => StepState::Marked,
                    _ => StepState::Waiting,
                };
                self.advance()
            }
            // It is not known whether the process started before or after its link was set back.
            StepState::Waiting
                if self.phase == Phase::Restoring
                    && self.steps[at].has_another_process()
                    && !self.steps[at].runs_old
                    && self.steps[at].is_touched() =>
            {
                self.steps[at].state = StepState::Marked;
                self.advance()
            }
            // systemd went on trying, with success.
            StepState::Failed if self.phase == Phase::Restoring && is_back => self.restored(at, true),
            // The worker has not lost its process after all.
            StepState::Marked if self.steps[at].is_original() && !unit.has_job => {
                self.steps[at].state = StepState::Waiting;
                self.advance()
            }
            // The worker came up on the old release by itself.
            StepState::Marked if self.steps[at].runs_old && unit.is_active() && !unit.has_job => {
                self.restored(at, true)
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
            // Without an answer from systemd, or after another client's job replaced ours, another process
            // proves nothing. It may have crashed and come up before its link was set.
            ActiveState::Inactive if step.is_canceled => self.skip(at),
            // systemd has brought it back before it got our job.
            ActiveState::Active if step.is_back_by_itself() => self.restored(at, true),
            _ if !step.is_enqueued => self.ask_again(at),
            ActiveState::Active if step.is_replaced() && !step.is_canceled => match state {
                StepState::Restoring => self.restored(at, true),
                _ => self.restart_done(at),
            },
            // There is no job. The process is the old one, or one that another client asked for.
            ActiveState::Active => self.ask_again(at),
            ActiveState::Failed => self.did_not_start(at, Fault::Job(JobResult::Failed)),
            ActiveState::Inactive => self.did_not_start(at, Fault::NotActive(ActiveState::Inactive)),
            // A restart by a job resets the count. A restart counted since then is a failure of this process.
            ActiveState::Activating if step.unit.restarts > 0 => {
                self.did_not_start(at, Fault::Job(JobResult::Failed))
            }
            ActiveState::Activating | ActiveState::Deactivating | ActiveState::Other => {
                ignore("the worker is between two states")
            }
        }
    }

    /// systemd does not have the job, or lost it. By now too few others may serve.
    fn ask_again(&mut self, at: usize) -> Vec<Action> {
        let step = &mut self.steps[at];
        step.is_asked = false;
        step.is_enqueued = false;
        step.is_canceled = false;
        step.was_active |= step.unit.is_active();
        if step.unit.is_active() && !step.is_surge() && !self.may_go_on_taking(at) {
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
            // An operator wants it to run. The rollout no longer cares that it is surplus.
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
        if self.steps[at].state != StepState::Settling {
            return self.looked(at, unit);
        }
        let before = self.steps[at].see(unit);
        if self.steps[at].is_being_stopped() {
            return vec![self.steps[at].settle(SHORTEST_LOOK)];
        }
        if !self.is_as_before(at, before) {
            return self.failed(at, Fault::Unsettled);
        }
        // A worker that became ready and then hangs looks active until its watchdog runs out.
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

    /// Whether the worker has the same process as before.
    fn is_as_before(&self, at: usize, before: Unit) -> bool {
        let step = &self.steps[at];
        step.unit.is_active()
            && step.unit.invocation == before.invocation
            && step.unit.restarts == step.restarts
    }

    /// One crash may have any reason. If most of the replaced workers have crashed since, the release is the
    /// reason.
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

    /// An operator stopped this worker.
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
        // Whatever starts it later, it comes back on the old release.
        let mut actions = Vec::from_iter(step.was_taken().then_some(Action::LinkBack(step.instance)));
        actions.extend(self.advance());
        actions
    }

    pub(super) fn stopped(&mut self, at: usize) -> Vec<Action> {
        self.steps[at].state = StepState::Stopped;
        self.advance()
    }
}
