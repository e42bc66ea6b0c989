//! What the orchestrator hears of the workers, and what it sees when it looks.

use rollout::unit::{Instance, JobResult, Unit};
use rollout::{Event, StepState};

use super::LOOK_AFTER;
use crate::systemd::Signal;
use crate::world::{Item, World};

impl World {
    pub(super) fn heard(&mut self, signal: Signal) {
        if self.is_dead() {
            return;
        }
        match signal {
            Signal::PropertiesChanged(worker) => self.look(worker),
            Signal::JobRemoved { id, worker, result, was_operators_stop } => {
                if self.orchestrator.jobs.remove(&id).is_some() {
                    if let Some(running) = &mut self.orchestrator.running {
                        running.is_unsure |= result == JobResult::Canceled;
                    }
                    self.told(worker, |instance, unit| Event::JobFinished { instance, result, unit });
                } else if was_operators_stop && self.systemd.service(worker).is_inactive() {
                    self.hold(worker);
                }
            }
        }
    }

    fn hold(&mut self, worker: u32) {
        if worker <= self.disk.desired {
            self.disk.held.insert(worker);
        }
        if let Some(instance) = Instance::new(worker) {
            self.event(Event::Held(instance));
        }
    }

    /// After each event: whom the machine skips is held, as systemd's canceled job told.
    pub(crate) fn note_skipped(&mut self) {
        let Some(running) = &mut self.orchestrator.running else { return };
        let skipped = running.machine.steps().iter().filter(|step| step.state() == StepState::Skipped);
        for number in skipped.map(|step| step.instance().number()) {
            running.trials.remove(&number);
            self.disk.held.insert(number);
        }
    }

    pub(super) fn look(&mut self, worker: u32) {
        self.told(worker, |instance, unit| Event::Looked { instance, unit });
    }

    pub(super) fn look_until_over(&mut self, worker: u32) {
        let is_at_hand = |world: &Self| {
            let machine = world.orchestrator.running.as_ref().map(|running| &running.machine);
            Instance::new(worker).zip(machine).is_some_and(|(instance, machine)| machine.is_at_hand(instance))
        };
        if is_at_hand(self) {
            self.look(worker);
        }
        if is_at_hand(self) {
            let life = self.orchestrator.life;
            self.at(LOOK_AFTER, Item::Look { life, worker });
        }
    }

    pub(super) fn look_at_all(&mut self) {
        let machine = self.orchestrator.running.as_ref().map(|running| &running.machine);
        let all: Vec<_> = machine.into_iter().flat_map(|m| m.steps()).map(|step| step.instance()).collect();
        for instance in all {
            self.look(instance.number());
            self.flush();
        }
    }

    pub(super) fn settled(&mut self, worker: u32) {
        let unit = self.read(worker);
        let Some(instance) = Instance::new(worker) else { return };
        let compared = self.compared(instance);
        self.event(Event::Settled { instance, unit, compared });
        self.end_comparing(instance);
    }

    pub(super) fn told(&mut self, worker: u32, event: impl FnOnce(Instance, Unit) -> Event) {
        let unit = self.read(worker);
        if let Some(instance) = Instance::new(worker) {
            self.event(event(instance, unit));
        }
    }
}
