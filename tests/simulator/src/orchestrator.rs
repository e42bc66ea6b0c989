//! The orchestrator's driver in small: what turns the world into events and actions into the world.
//!
//! - `ledger`: what outlives it.
//! - `request`: what people ask of it.
//! - `rolling`: how a rollout begins, is gone on with, and ends.
//! - `hear`: what it hears and sees becomes events.
//! - `perform`: the machine's actions are done.
//! - `numbers`: what workers answer while one of them settles.
//! - `keep`: between rollouts and during them, whoever is to run does.

mod hear;
mod keep;
mod ledger;
mod numbers;
mod perform;
mod request;
mod rolling;

use std::collections::BTreeMap;

use rollout::Event;
use rollout::plan::Candidate;
use rollout::unit::{Instance, Unit};

pub(crate) use self::ledger::{Disk, Entry};
pub(crate) use self::request::Request;
use self::rolling::Running;
use crate::chaos::Class;
use crate::world::{Item, World};

/// After this time a worker with a job is looked at, in ms.
const LOOK_AFTER: u64 = 1_000;
/// So often the keeper looks at all, in ms.
const TICK: u64 = 900;

/// The process that may die.
#[derive(Debug, Default)]
pub(crate) struct Orchestrator {
    pub(crate) is_alive: bool,
    pub(crate) life: u64,
    pub(crate) running: Option<Running>,
    pub(crate) read: BTreeMap<u32, Unit>,
    jobs: BTreeMap<u64, u32>,
    queued: Option<usize>,
    scale: Option<u32>,
}

impl World {
    pub(crate) fn orchestrate(&mut self, item: Item) {
        let life = self.orchestrator.life;
        match item {
            Item::Revive if !self.orchestrator.is_alive => self.revive(),
            Item::Signal { life: of, signal } if of == life => self.heard(signal),
            Item::Look { life: of, worker } if of == life => self.look_until_over(worker),
            Item::Tick { life: of } if of == life => self.tick(),
            Item::Settled { life: of, rollout, worker } if of == life && self.rolls(rollout) => {
                self.settled(worker);
            }
            Item::StepDeadline { life: of, rollout, worker, attempt }
                if of == life && self.rolls(rollout) =>
            {
                if let Some(instance) = Instance::new(worker) {
                    self.event(Event::StepDeadline { instance, attempt });
                }
            }
            Item::Deadline { life: of, rollout } if of == life && self.rolls(rollout) => {
                let is_waiting = self.orchestrator.running.as_ref().is_some_and(|r| r.machine.is_waiting());
                if is_waiting {
                    self.at(500, Item::Deadline { life, rollout });
                } else {
                    self.event(Event::Deadline);
                }
            }
            _ => {}
        }
    }

    fn rolls(&self, rollout: u64) -> bool {
        self.orchestrator.running.as_ref().is_some_and(|running| running.id == rollout)
    }

    fn revive(&mut self) {
        self.orchestrator.is_alive = true;
        self.trace(|_| "the orchestrator starts".to_owned());
        let life = self.orchestrator.life;
        self.at(TICK, Item::Tick { life });
        self.go_on();
    }

    /// Whether the orchestrator is no more. It may die between any two things that it does.
    fn is_dead(&mut self) -> bool {
        self.meanwhile();
        // Rarely, or it would never get anywhere.
        let may_die = self.orchestrator.is_alive && self.rng.below(4) == 0;
        if may_die && self.chaos.strikes(&mut self.rng, Class::Death) {
            self.trace(|_| "the orchestrator dies".to_owned());
            let life = self.orchestrator.life + 1;
            self.orchestrator = Orchestrator { life, ..Orchestrator::default() };
            if let Some(entry) = &mut self.disk.entry {
                entry.was_interrupted = true;
            }
            let pause = self.rng.between(10, 4_000);
            self.at(pause, Item::Revive);
        }
        !self.orchestrator.is_alive
    }

    /// Reads a unit as it is now.
    fn read(&mut self, worker: u32) -> Unit {
        let unit = self.systemd.unit(worker, self.now);
        self.orchestrator.read.insert(worker, unit);
        if unit.is_active() {
            self.disk.held.remove(&worker);
        }
        unit
    }

    fn candidates(&mut self) -> Vec<Candidate> {
        let size = u32::try_from(self.systemd.services.len()).unwrap_or(0);
        let mut candidates = Vec::new();
        for number in 1..=size {
            let unit = self.read(number);
            let is_held = self.disk.held.contains(&number);
            candidates.extend(Instance::new(number).map(|instance| Candidate { instance, unit, is_held }));
        }
        candidates
    }
}
