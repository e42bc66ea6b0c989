//! Which worker may be taken now.

use super::{Phase, Rollout};
use crate::step::{Step, StepState};
use crate::unit::Instance;

impl Rollout {
    /// The next worker to replace, if one may be taken. Extra ones come first. Until one has settled, no other
    /// may execute the new release. So a wanted one that may execute it already comes before the others, even
    /// if it has to wait for one of them that starts.
    pub(super) fn next_to_replace(&self) -> Option<usize> {
        if self.is_paused || self.is_canary_full() || !self.has_room() {
            return None;
        }
        let is_out = |step: &Step| matches!(step.state, StepState::Waiting | StepState::Stopped);
        let surge = self.position(|step| step.is_surge() && is_out(step) && !self.is_everyone_replaced());
        let is_up = |step: &Step| step.state == StepState::Waiting && step.unit.is_up();
        let may_be_new = |step: &Step| is_up(step) && step.original.is_none();
        if surge.is_some() || self.is_anyone(StepState::Done) || self.count(may_be_new) == 0 {
            return surge.or_else(|| self.next_wanted(|_| true));
        }
        let does_any_start = self.count(|step| is_up(step) && !step.unit.is_active()) > 0;
        let rest = || if does_any_start { None } else { self.next_wanted(|_| true) };
        self.next_wanted(may_be_new).or_else(rest)
    }

    /// The next one of these wanted workers to replace. First come those that do not serve.
    fn next_wanted(&self, is_one: impl Fn(&Step) -> bool) -> Option<usize> {
        let waiting = |step: &Step| {
            step.state == StepState::Waiting && !step.is_surge() && !step.is_being_stopped() && is_one(step)
        };
        let idle = self.position(|step| waiting(step) && !step.unit.is_active());
        let may = self.capacity() > self.required();
        idle.or_else(|| self.position(|step| may && waiting(step) && step.unit.is_active()))
    }

    /// The next worker to put back. First come those that do not serve, because they cost no capacity, then
    /// those that were replaced first. If nothing is under way and no worker comes back by itself, it takes one
    /// in any case. Otherwise the rollout would never end.
    pub(super) fn next_to_restore(&self) -> Option<usize> {
        let under_way = self.count(|step| step.state == StepState::Restoring);
        if under_way >= self.width() {
            return None;
        }
        let marked = |step: &Step| step.state == StepState::Marked && !self.is_awaited(step);
        let idle = self.position(|step| marked(step) && !step.unit.is_active());
        let is_next_in_any_case = under_way == 0 && !self.is_anyone_awaited();
        let may = is_next_in_any_case || self.capacity() > self.required();
        idle.or_else(|| {
            let serving = self.steps.iter().enumerate().filter(|(_, step)| may && marked(step));
            serving.min_by_key(|(_, step)| step.turn).map(|(at, _)| at)
        })
    }

    /// Whether this worker comes up on the old release by itself, or another client may be stopping it. The
    /// rollout waits for it, but not for ever. systemd ends each stop in bounded time.
    fn is_awaited(&self, step: &Step) -> bool {
        let comes_back = step.comes_back() && !self.is_late;
        step.state == StepState::Marked && (comes_back || step.unit.is_stopped_by_another())
    }

    fn is_anyone_awaited(&self) -> bool {
        self.steps.iter().any(|step| self.is_awaited(step))
    }

    /// Whether this worker, which has been taken already, may be restarted now.
    pub(crate) fn may_still_take(&self, instance: Instance) -> bool {
        let at = self.steps.iter().position(|step| step.instance == instance);
        at.is_none_or(|at| {
            let step = &self.steps[at];
            let may_go_on = || !step.is_back_by_itself() && self.may_go_on_taking(at);
            step.is_surge() || !step.unit.is_active() || may_go_on()
        })
    }

    /// Whether this one, which has been taken already, may still be restarted.
    pub(super) fn may_go_on_taking(&self, at: usize) -> bool {
        let this = self.steps[at].instance;
        // A worker that waits for the same reason serves meanwhile.
        let waits = |step: &Step| step.is_at_hand() && !step.is_asked && step.unit.is_active();
        let is_restoring = |step: &Step| step.state == StepState::Restoring;
        let is_alone = self.count(|step| step.instance != this && is_restoring(step) && !waits(step)) == 0;
        // systemd may still do what it was asked for without an answer.
        let stays = |step: &Step| step.is_capacity() || (waits(step) && !step.unit.may_go);
        let others = self.count(|step| step.instance != this && stays(step));
        (self.phase == Phase::Restoring && is_alone && !self.is_anyone_awaited()) || others >= self.required()
    }

    /// The next surge worker to stop.
    pub(super) fn next_to_dismiss(&self) -> Option<usize> {
        self.position(|step| {
            let is_idle = !step.unit.is_active();
            step.is_surge() && step.state == StepState::Done && (is_idle || self.capacity() > self.required())
        })
    }

    /// Whether one more may be under way.
    fn has_room(&self) -> bool {
        let under_way = self.under_way();
        let is_trial = !self.is_anyone(StepState::Done);
        under_way == 0 || (!is_trial && under_way < self.width())
    }

    /// How many may be under way at once.
    fn width(&self) -> usize {
        let surge = self.count(Step::is_surge);
        (surge + self.policy.max_unavailable as usize).max(1)
    }

    pub(super) fn is_canary_full(&self) -> bool {
        let taken = |step: &Step| step.is_under_way() || step.state == StepState::Done;
        self.policy.canary.is_some_and(|canary| self.count(taken) >= canary as usize)
    }

    pub(super) fn is_everyone_replaced(&self) -> bool {
        let is_over = |step: &Step| matches!(step.state, StepState::Done | StepState::Skipped);
        self.steps.iter().filter(|step| !step.is_surge()).all(is_over)
    }

    /// Whether a surge worker is under way or runs.
    pub(super) fn is_surge_left(&self) -> bool {
        let is_left = |step: &Step| step.is_under_way() || step.state == StepState::Done;
        self.steps.iter().any(|step| step.is_surge() && is_left(step))
    }

    /// How many workers serve and will go on serving. A worker with a job that is about to be done will not.
    fn capacity(&self) -> usize {
        self.count(|step| step.is_capacity() && !self.is_awaited(step))
    }

    /// How many workers have to serve.
    fn required(&self) -> usize {
        let wanted = self.count(|step| !step.is_surge() && step.state != StepState::Skipped);
        wanted.saturating_sub(self.policy.max_unavailable as usize)
    }

    pub(super) fn under_way(&self) -> usize {
        self.count(Step::is_under_way)
    }

    pub(super) fn is_anyone(&self, state: StepState) -> bool {
        self.steps.iter().any(|step| step.state == state)
    }

    fn count(&self, is: impl Fn(&Step) -> bool) -> usize {
        self.steps.iter().filter(|step| is(step)).count()
    }

    fn position(&self, is: impl Fn(&Step) -> bool) -> Option<usize> {
        self.steps.iter().position(is)
    }
}
