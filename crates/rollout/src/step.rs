//! One worker's part of a rollout.

use std::time::Duration;

use crate::event::{Action, Attempt};
use crate::plan::{Planned, Role};
use crate::unit::{ActiveState, Instance, InvocationId, Unit};

/// How far one worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Not touched.
    Waiting,
    /// The old process drains, if there is one, and the new one starts.
    Restarting,
    /// Ready; has to stay so.
    Settling,
    /// Replaced.
    Done,
    /// Failed, or did not come back.
    Failed,
    /// Left out: somebody stopped it on purpose.
    Skipped,
    /// Has to go back to the old release.
    Marked,
    /// On its way back to the old release.
    Restoring,
    /// Back on the old release.
    Restored,
    /// A surge worker that drains.
    Stopping,
    /// A surge worker that has stopped.
    Stopped,
}

/// One worker's part.
#[derive(Debug, Clone)]
pub struct Step {
    pub(crate) instance: Instance,
    pub(crate) role: Role,
    pub(crate) state: StepState,
    /// As last seen.
    pub(crate) unit: Unit,
    /// The process it ran when the rollout began.
    pub(crate) original: Option<InvocationId>,
    /// Whether it served when the rollout began or whenever it was taken, as far as can be told: no rollout is to blame
    /// for one that did not.
    pub(crate) was_active: bool,
    /// The process that the restart under way is to replace.
    pub(crate) before: Option<InvocationId>,
    /// How often systemd had restarted it when it settled.
    pub(crate) restarts: u32,
    pub(crate) attempt: Attempt,
    /// Its job has been asked for, and is not known to be missing.
    pub(crate) is_asked: bool,
    /// systemd has accepted its job.
    pub(crate) is_enqueued: bool,
    /// How many settle times have yet to end: those of earlier tries are among them, and the last one counts.
    pub(crate) settles: u32,
    /// systemd did not accept our job: nothing was done to the worker.
    pub(crate) is_refused: bool,
    /// Somebody else's job took the place of ours.
    pub(crate) is_canceled: bool,
    /// Crashed after it had been replaced.
    pub(crate) has_crashed: bool,
    /// It has not been looked at since the old release is current again.
    pub(crate) is_unseen: bool,
    /// The how manieth it was to be replaced.
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
            original: planned.unit.invocation.filter(|_| !planned.is_replaced),
            was_active: planned.is_replaced
                || planned.unit.has_job
                || matches!(planned.unit.active, ActiveState::Active | ActiveState::Deactivating),
            before: None,
            restarts: planned.unit.restarts,
            attempt: Attempt(0),
            is_asked: false,
            is_enqueued: false,
            settles: 0,
            is_refused: false,
            is_canceled: false,
            has_crashed: false,
            is_unseen: false,
            turn: 0,
        }
    }

    /// The worker.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Whether it is there for the rollout only, beyond the wanted number.
    pub fn is_surge(&self) -> bool {
        self.role == Role::Surge
    }

    /// How far it is.
    pub fn state(&self) -> StepState {
        self.state
    }

    /// Whether a job of ours is under way for it.
    pub fn is_at_hand(&self) -> bool {
        matches!(self.state, StepState::Restarting | StepState::Restoring | StepState::Stopping)
    }

    /// Whether it has been taken and has neither come through nor failed.
    pub fn is_under_way(&self) -> bool {
        self.is_at_hand() || self.state == StepState::Settling
    }

    /// Whether all that was done to it was done by an orchestrator that is no more.
    pub(crate) fn is_inherited(&self) -> bool {
        self.attempt == Attempt(0)
    }

    /// Whether it serves and goes on doing so: what has yet to settle is not counted on.
    pub(crate) fn is_capacity(&self) -> bool {
        let is_steady = matches!(
            self.state,
            StepState::Waiting | StepState::Done | StepState::Marked | StepState::Restored
        );
        is_steady && self.unit.is_active()
    }

    /// Whether it has to be put on the old release: its process may be one of the new one, or it has none and may
    /// be between two, after a job that nobody waits for any more.
    pub(crate) fn is_touched(&self) -> bool {
        match self.state {
            StepState::Failed if self.is_refused => !self.is_original(),
            StepState::Restarting | StepState::Settling | StepState::Done | StepState::Failed => true,
            StepState::Skipped => false,
            _ => !self.is_original(),
        }
    }

    /// Whether it serves in the process it had when the rollout began.
    pub(crate) fn is_original(&self) -> bool {
        self.unit.is_active() && self.unit.invocation == self.original
    }

    /// Whether a wanted worker that was not touched has another process than at the beginning.
    pub(crate) fn has_another_process(&self) -> bool {
        self.role == Role::Wanted && self.unit.invocation != self.original
    }

    /// Notes what the unit is now; returns what it was.
    pub(crate) fn see(&mut self, unit: Unit) -> Unit {
        self.is_unseen = false;
        std::mem::replace(&mut self.unit, unit)
    }

    /// Begins a try in this state; what it ran until now has to be gone at its end.
    pub(crate) fn begin(&mut self, state: StepState) -> Attempt {
        self.state = state;
        // Who is taken while it serves has to come back.
        self.was_active |= self.unit.is_active();
        self.before = self.unit.invocation;
        self.is_asked = true;
        self.is_enqueued = false;
        self.is_refused = false;
        self.is_canceled = false;
        self.attempt = Attempt(self.attempt.0 + 1);
        self.attempt
    }

    /// Has it settle for this time.
    pub(crate) fn settle(&mut self, time: Duration) -> Action {
        self.settles += 1;
        Action::Settle(self.instance, time)
    }

    /// Whether it is active in another process than the one that was to be replaced.
    pub(crate) fn is_replaced(&self) -> bool {
        self.unit.is_active() && self.unit.invocation != self.before
    }
}
