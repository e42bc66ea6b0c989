//! Which workers are taken.

use cluster::effect::Call;
use cluster::history::Kind;
use cluster::step::StepState;
use cluster::unit::ActiveState;
use cluster::view;
use names::Instance;

use super::{has, is_under_way};
use crate::systemd::{SIZE, STRANGER, invocation};
use crate::world::World;

impl World {
    /// Checks a call before systemd gets it.
    pub(crate) fn watch_call(&mut self, call: &Call) {
        let (Call::Restart(instance) | Call::Stop(instance)) = call else { return };
        let worker = instance.number();
        if worker == STRANGER && self.systemd.has_stranger && !self.systemd.is_masked {
            return self.violate("no stranger", || format!("{call:?}"));
        }
        if worker > SIZE {
            return;
        }
        let Some(core) = &self.orchestrator.core else { return };
        let view = core.view(self.clock());
        let rollout = view.rollout.filter(|rollout| !is_over(rollout.state));
        let step = rollout.as_ref().and_then(|r| r.steps.iter().find(|step| step.instance == *instance));
        let state = step.map(|step| step.state);
        if matches!(call, Call::Stop(_)) {
            self.note_dropped(worker);
            if state != Some(StepState::Stopping) {
                self.books.paused |= 1 << worker;
                if let Some(rolled) = self.books.rolled.as_mut().filter(|rolled| rolled.is_noted) {
                    rolled.stopped_since |= 1 << worker;
                }
            }
            return;
        }
        let is_extra = step.is_some_and(|step| step.is_surge);
        if worker > view.properties.desired && !is_extra {
            return self.violate("no stranger", || format!("{call:?}: it is not wanted"));
        }
        let is_active = self.orchestrator.heard(worker).is_active();
        // The rollout may turn back in the moment in which the link is set, and the call is made.
        let was = self.books.rolled.as_ref().and_then(|rolled| rolled.step(worker)).map(|step| step.state);
        let is_turning = state == Some(StepState::Marked) && is_taken(was);
        let Some(rollout) = rollout.filter(|_| is_taken(state) || is_turning) else {
            if is_active {
                self.violate("what serves is left alone", || format!("{call:?} while it is {state:?}"));
            }
            return;
        };
        self.books.paused &= !(1 << worker);
        let (is_restoring, is_extra) = (state == Some(StepState::Restoring), is_extra);
        self.watch_once(worker, is_restoring, is_extra);
        self.note_taken(worker, is_restoring, is_extra);
        self.watch_width(&rollout, is_restoring);
        if is_active && !is_extra {
            self.watch_capacity(&rollout, worker, is_restoring);
        }
    }

    fn note_dropped(&mut self, worker: u32) {
        let has_crashed = self.systemd.service(worker).restarts > 0;
        if let Some(rolled) = self.books.rolled.as_mut().filter(|_| has_crashed) {
            rolled.dropped |= 1 << worker;
        }
    }

    fn note_taken(&mut self, worker: u32, is_restoring: bool, is_extra: bool) {
        let is_active = self.orchestrator.heard(worker).is_active();
        let Some(rolled) = &mut self.books.rolled else { return };
        let bit = 1 << worker;
        rolled.dropped &= !bit;
        rolled.idle = if is_active { rolled.idle & !bit } else { rolled.idle | bit };
        if !is_restoring {
            rolled.taken |= bit;
            if !rolled.is_proved && !is_extra {
                rolled.trials |= bit;
            }
        }
    }

    fn watch_once(&mut self, worker: u32, is_restoring: bool, is_extra: bool) {
        let Some(rolled) = &self.books.rolled else { return };
        let service = self.systemd.service(worker);
        let is_heard = self.orchestrator.heard(worker).is_active() && self.is_as_heard(worker);
        let is_known = is_heard && service.is_active();
        // If its ledger is lost, the orchestrator does not know when the rollout began.
        let is_unknown = rolled.was_interrupted && self.disk.has_lost();
        let is_proved = rolled.proved[worker as usize] == service.invocation && service.invocation != 0;
        if !is_known || is_extra || is_unknown {
            return;
        }
        if !is_restoring && is_proved {
            self.violate("once", || format!("worker {worker} is replaced again"));
        } else if is_restoring
            && service.release == rolled.from
            && !has(rolled.taken, worker)
            && !has(self.books.unknown, worker)
        {
            self.violate("once", || format!("worker {worker} never ran the new release, and goes back"));
        }
    }

    fn watch_width(&mut self, rollout: &view::Rollout, is_restoring: bool) {
        let count = |is: &dyn Fn(&view::Step) -> bool| rollout.steps.iter().filter(|step| is(step)).count();
        let width = (count(&|step| step.is_surge) + self.max_unavailable(rollout.kind)).max(1);
        if is_restoring {
            let under_way = count(&|step| step.state == StepState::Restoring);
            if under_way > width {
                self.violate("width", || format!("{under_way} go back, at most {width}"));
            }
            return;
        }
        // An extra worker is stopped when all are replaced, or because it failed. No other worker takes its
        // place.
        let is_counted = |step: &view::Step| is_under_way(step.state) && step.state != StepState::Stopping;
        let under_way = count(&is_counted);
        let is_settled = self.books.rolled.as_ref().is_some_and(|rolled| rolled.is_proved);
        let is_trial = !is_settled && count(&|step| step.state == StepState::Done) == 0;
        if is_trial && under_way > 1 {
            self.violate("the first worker proves a release", || format!("{under_way} are under way"));
        } else if under_way > width {
            self.violate("width", || format!("{under_way} are under way, at most {width}"));
        }
        let canary = self.books.rolled.as_ref().and_then(|rolled| rolled.canary);
        if let Some(canary) = canary.filter(|canary| count_taken(rollout) > *canary) {
            let taken = count_taken(rollout);
            self.violate("the canary holds", || format!("{taken} are taken, and {canary} may be"));
        }
    }

    /// An operator resumes the rollout. If that is at its canary, it may take all workers.
    pub(crate) fn watch_resume(&mut self) {
        let Some(rollout) = self.view().and_then(|view| view.rollout) else { return };
        let Some(rolled) = self.books.rolled.as_mut().filter(|rolled| rolled.id == rollout.id) else {
            return;
        };
        let is_paused = rollout.state == view::RolloutState::Paused;
        rolled.canary = rolled.canary.filter(|canary| !is_paused || count_taken(&rollout) < *canary);
    }

    /// Checks the capacity, as far as the orchestrator can know it.
    fn watch_capacity(&mut self, rollout: &view::Rollout, taken: u32, is_restoring: bool) {
        let is_heard = |step: &&view::Step| self.orchestrator.heard(step.instance.number()).is_active();
        let others = rollout.steps.iter().filter(|step| step.instance.number() != taken);
        // A worker that waits to be taken serves until then.
        let waits = |step: &view::Step| is_taken(Some(step.state)) && !self.is_commanded(step.instance);
        let stays = |step: &&view::Step| !is_under_way(step.state) || waits(step);
        let serve = others.clone().filter(is_heard).filter(stays).count();
        let is_wanted = |step: &&view::Step| !step.is_surge && step.state != StepState::Skipped;
        let wanted = rollout.steps.iter().filter(is_wanted).count();
        let required = wanted.saturating_sub(self.max_unavailable(rollout.kind));
        let is_away = |step: &&view::Step| step.state == StepState::Restoring && !is_heard(step);
        let is_alone = others.clone().all(|step| !is_away(&step) && !self.is_coming_back(rollout, step));
        if serve < required && !(is_restoring && is_alone) {
            self.violate("enough serve", || {
                format!("worker {taken} is taken with {serve} others, {required} needed")
            });
        }
    }

    /// Whether this worker is known to come up on the old release by itself, and the time for it has not run out.
    fn is_coming_back(&self, rollout: &view::Rollout, step: &view::Step) -> bool {
        let number = step.instance.number();
        let (heard, service) = (self.orchestrator.heard(number), self.systemd.service(number));
        let runs_old = self.books.rolled.as_ref().is_some_and(|rolled| service.release == rolled.from);
        step.state == StepState::Marked
            && heard.active == Some(ActiveState::Activating)
            && heard.invocation == invocation(service)
            && runs_old
            && !self.disk.has_lost()
            // It is told in whole seconds, rounded up.
            && self.clock().epoch_usec() + 1_000_000 < rollout.deadline_usec
    }

    /// Whether systemd was called for this worker and has not finished.
    fn is_commanded(&self, instance: Instance) -> bool {
        let is_for = |call: &Call| matches!(call, Call::Restart(of) | Call::Stop(of) if *of == instance);
        let has_job = self.systemd.service(instance.number()).job.is_some();
        has_job || self.bus.open.iter().chain(&self.bus.undecided).any(|(_, call)| is_for(call))
    }

    fn max_unavailable(&self, kind: Kind) -> usize {
        let settings = &self.disk.settings;
        match kind {
            Kind::Recycle => usize::from(settings.surge == 0),
            _ => settings.max_unavailable as usize,
        }
    }
}

/// How many workers a rollout has taken, as its canary counts them.
fn count_taken(rollout: &view::Rollout) -> u32 {
    let taken = rollout.steps.iter().filter(|s| is_under_way(s.state) || s.state == StepState::Done);
    u32::try_from(taken.count()).unwrap_or(u32::MAX)
}

fn is_taken(state: Option<StepState>) -> bool {
    matches!(state, Some(StepState::Restarting | StepState::Restoring))
}

/// Whether a rollout in this state has ended, or does not begin.
pub(crate) fn is_over(state: view::RolloutState) -> bool {
    use view::RolloutState::{Paused, Queued, Running};
    !matches!(state, Queued | Running | Paused)
}
