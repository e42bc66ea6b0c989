//! What always holds, whatever goes wrong.
//!
//! - **I1** A worker that serves is taken only while enough others do: at least the wanted ones that nobody stopped
//!   on purpose, less `max_unavailable`, as far as the orchestrator has been able to see. And of the workers that are
//!   missing because of us never more are than `max_unavailable` and the extra workers allow, counted by systemd; an
//!   extra worker that the world took away counts as there, and one that was down when it was looked at last, and taken,
//!   is not missing because of us. With an extra worker, without `max_unavailable` and
//!   without faults of the world that is: never fewer ready than wanted. On the way back one is taken in any case
//!   when nothing is under way, or it would never end.
//! - **I2** No more workers are under way than there are extra ones and ones that may be missing, and the first is
//!   alone.
//! - **I3** A release that fails its trial never touches another wanted worker.
//! - **I4** When the world has calmed down, all wanted workers run that nobody stopped, and no other does.
//! - **I5** Every rollout ends in a bounded time once the world is calm and nobody has it wait.
//! - **I6** The next rollout of a good release brings it everywhere.
//! - **I7** A process that the rollout has proved is not replaced by the same rollout once more, and on the way back a
//!   process older than the rollout is left alone.
//! - **I8** After `Done` all run the new release; after `Restored` all the old one and those serve that served; after
//!   `Failed` on the way back some worker really is not whole.
//! - **I9** No job for a worker that has no part in the rollout.
//! - **I10** Nobody comes through who has not been ready for the settle time, feeding its watchdog.
//! - **I11** Where there are limits, nobody comes through who was seen to answer with errors while an old one did not, and
//!   nobody else fails for what it answers.

use rollout::unit::{Instance, Unit};
use rollout::{Action, Attempt, Cause, Fault, Outcome, Rollout, Step, StepState};

use crate::systemd::Missing;
use crate::world::World;

impl World {
    /// After the machine has taken an event.
    pub(crate) fn watch(&mut self, before: &Rollout, actions: &[Action]) {
        self.note_skipped();
        self.note_proved(before);
        self.watch_numbers(before);
        let Some(running) = &mut self.orchestrator.running else { return };
        for action in actions {
            if let Action::Restart(instance, _) = action
                && running.machine.step(*instance).is_some_and(|step| step.state() == StepState::Restarting)
            {
                running.taken.insert(instance.number());
            }
        }
        let machine = &running.machine;
        let is_new = |action: &&Action| match action {
            Action::Restart(instance, attempt) => running.attempts.get(&instance.number()) != Some(attempt),
            _ => false,
        };
        let taken = actions.iter().filter(is_new).count();
        if taken == 0 {
            return;
        }
        let width = (running.surge + running.policy.max_unavailable as usize).max(1);
        let state = |state| move |step: &&Step| step.state() == state;
        let under_way = match machine.is_restoring() {
            true => machine.steps().iter().filter(state(StepState::Restoring)).count(),
            false => machine.steps().iter().filter(|step| step.is_under_way()).count(),
        };
        let is_trial =
            !machine.is_restoring() && !machine.steps().iter().any(|step| step.state() == StepState::Done);
        let most = if is_trial { 1 } else { width };
        if under_way > most {
            self.violate("I2 width", || format!("{under_way} under way, at most {most}"));
        }
    }

    fn note_proved(&mut self, before: &Rollout) {
        let now = self.now;
        let Some(running) = &mut self.orchestrator.running else { return };
        let mut unproved = None;
        for step in running.machine.steps() {
            let was = before.step(step.instance()).map(Step::state);
            // An extra worker that stays for the way back has not come through: it is only not stopped yet.
            let stays = step.is_surge() && running.machine.cause().is_some();
            if step.state() == StepState::Done && was == Some(StepState::Settling) && !stays {
                let number = step.instance().number();
                let (service, unit) = (self.systemd.service(number), self.systemd.unit(number, now));
                let seen = self.orchestrator.read.get(&number).copied().unwrap_or(Unit::INACTIVE);
                let (fed, settle) = (seen.fed_after.unwrap_or_default(), running.policy.settle);
                let is_the_same = unit.is_active() && unit.invocation == seen.invocation;
                let is_ready = seen.is_active() && (!is_the_same || service.has_been_ready_for(settle, now));
                if !is_ready || fed < settle / 2 {
                    unproved = Some(format!("{seen:?} of {service:?}"));
                }
                running.proved.insert(number, service.invocation());
            }
        }
        if let Some(seen) = unproved {
            self.violate("I10 settled", || seen);
        }
    }

    fn watch_numbers(&mut self, before: &Rollout) {
        let Some(running) = &self.orchestrator.running else { return };
        let is_limited = running.policy.limits.is_set();
        let came_through = |step: &&Step| {
            let was = before.step(step.instance()).map(Step::state);
            step.state() == StepState::Done && was == Some(StepState::Settling)
        };
        let stays = |step: &&Step| step.is_surge() && running.machine.cause().is_some();
        let mut done = running.machine.steps().iter().filter(came_through).filter(|step| !stays(step));
        let wrong = done.find(|step| is_limited && running.wrong.contains(&step.instance()));
        let blamed = match (before.cause(), running.machine.cause()) {
            (None, Some(Cause::Fault(instance, Fault::Numbers(_)))) => Some(*instance),
            _ => None,
        };
        let blamed = blamed.filter(|instance| !is_limited || !running.wrong.contains(instance));
        if let Some(instance) = wrong.map(Step::instance).or(blamed) {
            self.violate("I11 numbers", || format!("{instance} was judged wrongly"));
        }
    }

    /// Before a restart is enqueued.
    pub(crate) fn watch_restart(&mut self, instance: Instance, attempt: Attempt) {
        let number = instance.number();
        let Some(running) = &mut self.orchestrator.running else { return };
        let is_first = running.attempts.insert(number, attempt) != Some(attempt);
        let Some(step) = running.machine.step(instance) else {
            return self.violate("I9 only planned workers", || format!("restart of {instance}"));
        };
        let is_wanted = !step.is_surge();
        let (is_restoring, state) = (running.machine.is_restoring(), step.state());
        let was_taken = running.taken.contains(&number) || running.proved.contains_key(&number);
        let service = self.systemd.service(number);
        let (is_active, invocation) = (service.is_active(), service.invocation());
        let is_older = service.started < running.entry.begun;
        let was_proved = running.proved.get(&number) == Some(&invocation);
        if state == StepState::Restarting {
            let has_none_come_through = running.proved.is_empty();
            if is_wanted && has_none_come_through {
                running.trials.insert(number);
            }
        }
        if !is_first {
            return;
        }
        let seen_active = self.orchestrator.read.get(&number).is_some_and(Unit::is_active);
        if seen_active {
            running.taken_idle.remove(&number);
        } else {
            running.taken_idle.insert(number);
        }
        if state == StepState::Restarting && is_wanted && is_active && was_proved {
            self.violate("I7 once", || format!("{instance} is replaced again"));
        }
        if state == StepState::Restoring && seen_active && is_active && is_older && !was_taken {
            self.violate("I7 only touched ones go back", || format!("{instance} never ran the new release"));
        }
        if seen_active && is_wanted {
            self.watch_capacity(instance, is_restoring);
        }
    }

    /// I1, as far as the orchestrator can see.
    fn watch_capacity(&mut self, taken: Instance, is_restoring: bool) {
        let Some(running) = &self.orchestrator.running else { return };
        let machine = &running.machine;
        let serves = |step: &&Step| {
            let is_seen = self.orchestrator.read.get(&step.instance().number()).is_some_and(Unit::is_active);
            is_seen && step.instance() != taken && !step.is_under_way()
        };
        let others = machine.steps().iter().filter(serves).count();
        let is_wanted = |step: &&Step| !step.is_surge() && step.state() != StepState::Skipped;
        let wanted = machine.steps().iter().filter(is_wanted).count();
        let required = wanted.saturating_sub(running.policy.max_unavailable as usize);
        let is_away = |step: &&Step| {
            let seen = self.orchestrator.read.get(&step.instance().number());
            step.state() == StepState::Restoring
                && step.instance() != taken
                && !seen.is_some_and(Unit::is_active)
        };
        let is_alone = machine.steps().iter().filter(is_away).count() == 0;
        if others < required && !(is_restoring && is_alone) {
            self.violate("I1 enough serve", || {
                format!("{taken} is taken with {others} others, {required} needed")
            });
        }
    }

    /// I1, counted by systemd.
    pub(crate) fn watch_missing(&mut self) {
        let Some(running) = &self.orchestrator.running else { return };
        let service = |step: &Step| self.systemd.service(step.instance().number());
        let steps = running.machine.steps();
        let (surge, wanted): (Vec<_>, Vec<_>) = steps.iter().partition(|step| step.is_surge());
        let ours =
            |step: &&&Step| service(step).missing == Missing::Ours && step.state() != StepState::Failed;
        let served = |step: &&&Step| running.entry.served.contains(&step.instance().number());
        // One that was down when it was looked at last costs nothing to take; that it had just come up nobody knew.
        let was_seen = |step: &&&Step| !running.taken_idle.contains(&step.instance().number());
        let missing = wanted.iter().filter(ours).filter(served).filter(was_seen).count();
        let is_at_fault = |step: &Step| match running.machine.cause() {
            Some(Cause::Fault(instance, _)) => *instance == step.instance(),
            _ => false,
        };
        let stands_in = |step: &&&Step| service(step).missing != Missing::Ours || is_at_fault(step);
        let stands_in = surge.iter().filter(stands_in).count();
        let may = running.policy.max_unavailable as usize + stands_in;
        let left_over = usize::from(running.entry.was_interrupted);
        let most = may + usize::from(running.machine.is_restoring()) + left_over;
        if missing > most {
            self.violate("I1 missing because of us", || format!("{missing}, at most {most}"));
        }
    }

    /// At the end of a rollout.
    pub(crate) fn judge_outcome(&mut self, outcome: &Outcome) {
        self.judge_trial();
        let Some(running) = &self.orchestrator.running else { return };
        let entry = running.entry.clone();
        let has_previous = running.policy.has_previous;
        let is_restoring = self.disk.entry.as_ref().is_some_and(|entry| entry.is_restoring);
        let wanted = running.machine.steps().iter().filter(|step| !step.is_surge());
        let wanted: Vec<(u32, StepState)> = wanted.map(|s| (s.instance().number(), s.state())).collect();
        let link = match outcome {
            Outcome::Done => entry.to,
            Outcome::Restored(_) if has_previous => entry.from,
            _ if is_restoring => entry.from,
            _ => entry.to,
        };
        if self.systemd.link != link {
            return self.violate("I8 link", || format!("is not what {outcome:?} means"));
        }
        let is_at_fault = |service: &crate::systemd::Service| service.missing == Missing::World;
        let mut is_whole = true;
        for (number, state) in wanted {
            let service = self.systemd.service(number);
            let seen = self.orchestrator.read.get(&number).copied().unwrap_or(Unit::INACTIVE);
            let is_older = service.started < entry.begun;
            let was_else = *outcome != Outcome::Done && (is_older || service.release != entry.to);
            let is_on_link = !service.has_process() || service.release == link || was_else;
            is_whole &=
                (service.is_active() && seen.is_active() && is_on_link) || state == StepState::Skipped;
            let has_to_serve = match outcome {
                Outcome::Done => true,
                Outcome::Restored(_) => has_previous && entry.served.contains(&number),
                _ => continue,
            };
            let is_missing = !service.is_active() && has_to_serve && !is_at_fault(service);
            let is_old = *outcome == Outcome::Done && service.has_process() && is_older;
            if (is_missing && state != StepState::Skipped) || !is_on_link || is_old {
                let seen = format!("{outcome:?} and worker {number} is {service:?}");
                return self.violate("I8 the outcome is true", || seen);
            }
        }
        if matches!(outcome, Outcome::Failed(_)) && is_restoring && is_whole && !running.is_unsure {
            self.violate("I8 the outcome is true", || format!("{outcome:?} and all are whole"));
        }
    }

    fn judge_trial(&mut self) {
        let Some(running) = &self.orchestrator.running else { return };
        if !running.proved.is_empty() || running.entry.was_interrupted {
            return;
        }
        let trials = running.trials.clone();
        if trials.len() > usize::from(running.surge == 0) {
            self.violate("I3 a failed trial touches no other", || format!("touched {trials:?}"));
        }
    }

    /// At the end of the schedule.
    pub(crate) fn judge(&mut self) {
        if self.outcomes.last() != Some(&"done") {
            return self.violate("I6 the next good rollout succeeds", || "it did not".to_owned());
        }
        let last = self.systemd.releases.len() - 1;
        for number in 1..=u32::try_from(self.systemd.services.len()).unwrap_or(0) {
            let service = self.systemd.service(number).clone();
            let is_held = self.disk.held.contains(&number) && !service.is_active();
            let is_wanted = number <= self.disk.desired;
            if is_wanted && !is_held && !service.is_active() {
                self.violate("I4 all wanted run", || format!("worker {number} is {service:?}"));
            }
            if is_wanted && !is_held && service.release != last {
                self.violate("I6 all run the last release", || format!("worker {number} is {service:?}"));
            }
            if !is_wanted && service.is_active() {
                self.violate("I4 no other runs", || format!("worker {number} is {service:?}"));
            }
        }
    }
}
