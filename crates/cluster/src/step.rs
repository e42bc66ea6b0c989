//! One worker's part of a rollout.

use std::time::Duration;

use crate::event::{Action, Attempt};
use crate::plan::{Planned, Role};
use crate::unit::{ActiveState, Instance, InvocationId, Unit};

/// How far one worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// The rollout has not touched it.
    Waiting,
    /// Its old process drains, if it has one, and the new one starts.
    Restarting,
    /// It is ready, and has to stay so.
    Settling,
    /// It is replaced.
    Done,
    /// It failed, or did not come back.
    Failed,
    /// It is left out, because an operator stopped it.
    Skipped,
    /// It has to go back to the old release.
    Marked,
    /// It is on its way back to the old release.
    Restoring,
    /// It is back on the old release.
    Restored,
    /// It is a surge worker, and drains.
    Stopping,
    /// It is a surge worker, and has stopped.
    Stopped,
}

/// One worker's part.
#[derive(Debug, Clone)]
pub struct Step {
    pub(crate) instance: Instance,
    pub(crate) role: Role,
    pub(crate) state: StepState,
    /// The unit, as last inspected.
    pub(crate) unit: Unit,
    /// The process it had when the rollout began, if that runs the old release.
    pub(crate) original: Option<InvocationId>,
    /// Whether it served when the rollout began, or whenever it was taken, as far as is known. If it did not,
    /// its failure is not the rollout's.
    pub(crate) was_active: bool,
    /// The process that the restart under way has to replace.
    pub(crate) before: Option<InvocationId>,
    /// How often systemd had restarted it when it settled.
    pub(crate) restarts: u32,
    pub(crate) attempt: Attempt,
    /// Its job was asked for, and is not known to be missing.
    pub(crate) is_asked: bool,
    /// systemd has accepted its job.
    pub(crate) is_enqueued: bool,
    /// systemd refused the job. The worker was not touched.
    pub(crate) is_refused: bool,
    /// Another client's job replaced ours.
    pub(crate) is_canceled: bool,
    /// It crashed after it had been replaced.
    pub(crate) has_crashed: bool,
    /// It has not been inspected since its link was set back.
    pub(crate) is_unseen: bool,
    /// Under an earlier orchestrator, this rollout replaced it or pointed it to the new release.
    pub(crate) was_replaced: bool,
    /// Its process is known to run the old release.
    pub(crate) runs_old: bool,
    /// Its place in the order in which workers were replaced.
    pub(crate) turn: u32,
}

impl Step {
    pub(crate) fn new(planned: &Planned) -> Self {
        let state = match planned {
            Planned { is_held: true, .. } => StepState::Skipped,
            Planned { is_replaced: true, unit, .. } if unit.is_active() => StepState::Settling,
            _ => StepState::Waiting,
        };
        Self {
            instance: planned.instance,
            role: planned.role,
            state,
            unit: planned.unit,
            original: planned.unit.invocation.filter(|_| !planned.is_replaced && !planned.is_unsure),
            was_active: planned.is_replaced
                || planned.unit.has_job
                || matches!(planned.unit.active, ActiveState::Active | ActiveState::Deactivating),
            before: None,
            restarts: planned.unit.restarts,
            attempt: Attempt(0),
            is_asked: false,
            is_enqueued: false,
            is_refused: false,
            is_canceled: false,
            has_crashed: false,
            is_unseen: false,
            was_replaced: planned.is_replaced || planned.is_linked || planned.is_unsure,
            runs_old: false,
            turn: 0,
        }
    }

    /// The worker.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Whether it is beyond the wanted number, for this rollout only.
    pub fn is_surge(&self) -> bool {
        self.role == Role::Surge
    }

    /// How far it is.
    pub fn state(&self) -> StepState {
        self.state
    }

    /// Whether a job of this rollout is under way for it.
    pub fn is_at_hand(&self) -> bool {
        matches!(self.state, StepState::Restarting | StepState::Restoring | StepState::Stopping)
    }

    /// Whether it has been taken, and has neither settled nor failed.
    pub fn is_under_way(&self) -> bool {
        self.is_at_hand() || self.state == StepState::Settling
    }

    /// Whether it was taken, but systemd is not asked before enough others serve. The deadline of the whole
    /// rollout limits that.
    pub(crate) fn waits_for_others(&self) -> bool {
        self.state == StepState::Restarting && !self.is_asked
    }

    /// Whether it is starting on the old release by itself, or a job of another client is about to be done.
    pub(crate) fn comes_back(&self) -> bool {
        self.runs_old && self.unit.is_up() && (!self.unit.is_active() || self.unit.has_job)
    }

    /// Whether it serves on the old release again, although systemd has not accepted the job that is to put it
    /// back.
    pub(crate) fn is_back_by_itself(&self) -> bool {
        self.state == StepState::Restoring && self.runs_old && self.unit.is_active() && !self.is_enqueued
    }

    /// Whether this rollout asked for a job for it.
    pub(crate) fn was_taken(&self) -> bool {
        self.attempt != Attempt(0)
    }

    /// Whether only an earlier orchestrator has touched it.
    pub(crate) fn is_inherited(&self) -> bool {
        self.attempt == Attempt(0)
    }

    /// Whether it serves and will go on serving. A worker that has yet to settle does not count.
    pub(crate) fn is_capacity(&self) -> bool {
        let is_steady = matches!(
            self.state,
            StepState::Waiting | StepState::Done | StepState::Marked | StepState::Restored
        );
        is_steady && self.unit.is_active()
    }

    /// Whether it has to be put on the old release, because its process may run the new one. A worker without
    /// a process may be between two, after a job that has no owner any more.
    pub(crate) fn is_touched(&self) -> bool {
        match self.state {
            StepState::Failed if self.is_refused => !self.is_original() && !self.is_as_taken(),
            StepState::Waiting if self.is_as_taken() => false,
            StepState::Restarting | StepState::Settling | StepState::Done | StepState::Failed => true,
            StepState::Skipped => false,
            // It has a link of its own. If it crashed, it came up on the old release.
            StepState::Waiting if self.role == Role::Wanted => {
                self.was_replaced || self.attempt != Attempt(0)
            }
            _ => !self.is_original(),
        }
    }

    /// Whether it is down or stopping, with a job that an operator may have asked for. Whether it stays down
    /// is known when that job is done.
    pub(crate) fn is_being_stopped(&self) -> bool {
        self.unit.has_job && !self.unit.is_up() && !self.was_replaced
    }

    /// Whether it serves in the process that it had when the rollout began.
    pub(crate) fn is_original(&self) -> bool {
        self.unit.is_active() && self.unit.invocation == self.original
    }

    /// Whether it serves in the process in which it was first taken. Then systemd never had a job of this
    /// rollout for it.
    fn is_as_taken(&self) -> bool {
        let is_first = self.attempt == Attempt(1) && !self.was_replaced;
        is_first && self.unit.is_active() && self.unit.invocation == self.before
    }

    /// Whether an untouched wanted worker has another process than at the beginning.
    pub(crate) fn has_another_process(&self) -> bool {
        self.role == Role::Wanted && self.unit.invocation != self.original
    }

    /// Notes the unit's state now, and returns the one before.
    pub(crate) fn see(&mut self, unit: Unit) -> Unit {
        std::mem::replace(&mut self.unit, unit)
    }

    /// Begins a try in this state. The process that it has now must be gone at the end.
    pub(crate) fn begin(&mut self, state: StepState) -> Attempt {
        self.state = state;
        // A worker that serves when it is taken has to come back.
        self.was_active |= self.unit.is_active();
        self.before = self.unit.invocation;
        self.is_asked = true;
        self.is_enqueued = false;
        self.is_refused = false;
        self.is_canceled = false;
        self.attempt = Attempt(self.attempt.0 + 1);
        self.attempt
    }

    /// Lets it settle for this time.
    pub(crate) fn settle(&self, time: Duration) -> Action {
        Action::Settle(self.instance, time)
    }

    /// Whether it is active in another process than the one to be replaced.
    pub(crate) fn is_replaced(&self) -> bool {
        self.unit.is_active() && self.unit.invocation != self.before
    }
}
