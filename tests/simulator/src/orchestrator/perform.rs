//! Events go to the machine, and what it says is done, one action after another.

use std::collections::VecDeque;
use std::time::Duration;

use rollout::unit::Instance;
use rollout::{Action, Attempt, Event};

use super::LOOK_AFTER;
use crate::chaos::Class;
use crate::systemd::{Verb, Who};
use crate::world::{Item, World};

impl World {
    /// Hands an event to the machine and does what it says.
    pub(crate) fn event(&mut self, event: Event) {
        if self.orchestrator.running.is_none() || self.is_dead() {
            return;
        }
        let Some(running) = &mut self.orchestrator.running else { return };
        let before = running.machine.clone();
        let words = self.trace.as_ref().map(|_| format!("{event:?}")).unwrap_or_default();
        let actions = running.machine.handle(event);
        self.trace(|_| format!("{words} -> {actions:?}"));
        self.watch(&before, &actions);
        self.perform(actions);
    }

    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        let mut looks_at_all = false;
        while let Some(action) = actions.pop_front() {
            self.flush();
            if self.is_dead() {
                return;
            }
            let rollout = self.orchestrator.running.as_ref().map_or(0, |running| running.id);
            let life = self.orchestrator.life;
            let event = match action {
                Action::Restart(instance, attempt) => {
                    self.watch_restart(instance, attempt);
                    self.step(instance, attempt, Verb::Restart)
                }
                Action::Stop(instance, attempt) => self.step(instance, attempt, Verb::Stop),
                Action::Settle(instance, settle) => {
                    let worker = instance.number();
                    self.at(millis(settle), Item::Settled { life, rollout, worker });
                    self.begin_comparing(instance);
                    None
                }
                Action::RestoreRelease => {
                    if self.restore_release().is_none() {
                        return;
                    }
                    looks_at_all = true;
                    None
                }
                Action::Finish(outcome) => return self.finish(&outcome),
                Action::TellUndecided(..) | Action::Ignore(_) => None,
            };
            if let Some(event) = event
                && let Some(running) = &mut self.orchestrator.running
            {
                let before = running.machine.clone();
                let more = running.machine.handle(event);
                self.watch(&before, &more);
                actions.extend(more);
            }
        }
        // A worker that came up on the new release just before the link was flipped has not been seen yet.
        if looks_at_all {
            self.look_at_all();
        }
    }

    fn step(&mut self, instance: Instance, attempt: Attempt, verb: Verb) -> Option<Event> {
        let (life, worker) = (self.orchestrator.life, instance.number());
        if let Some(running) = &mut self.orchestrator.running {
            running.begun_with.remove(&instance);
        }
        let rollout = self.orchestrator.running.as_ref().map_or(0, |running| running.id);
        self.at(LOOK_AFTER, Item::Look { life, worker });
        let deadline = self.settings.step_deadline;
        self.at(deadline, Item::StepDeadline { life, rollout, worker, attempt });
        let answer = self.enqueue(worker, verb);
        if let Some(running) = &mut self.orchestrator.running {
            running.is_unsure |= answer != Some(true);
        }
        answer.map(|is_accepted| match is_accepted {
            true => Event::Enqueued(instance),
            false => Event::JobRefused { instance, reason: "no".to_owned() },
        })
    }

    /// Asks systemd for a job; nothing if it is not known whether systemd has it.
    pub(super) fn enqueue(&mut self, worker: u32, verb: Verb) -> Option<bool> {
        self.orchestrator.jobs.retain(|_, of| *of != worker);
        if self.chaos.strikes(&mut self.rng, Class::Refused) {
            return Some(false);
        }
        if self.chaos.strikes(&mut self.rng, Class::NotAsked) {
            return None;
        }
        let is_canceled = self.chaos.strikes(&mut self.rng, Class::Canceled);
        if let Some(running) = &mut self.orchestrator.running {
            running.is_unsure |= is_canceled;
        }
        let (systemd, mut env) = self.split();
        let id = match is_canceled {
            true => systemd.enqueue_and_cancel(worker),
            false => systemd.enqueue(worker, verb, Who::Orchestrator, &mut env),
        };
        self.trace(|_| format!("systemd: {verb:?} {worker}, job {id}"));
        if self.chaos.strikes(&mut self.rng, Class::NoAnswer) {
            return None;
        }
        self.orchestrator.jobs.insert(id, worker);
        Some(true)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
