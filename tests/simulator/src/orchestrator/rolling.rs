//! A rollout from its entry in the ledger to its outcome, over the deaths of the orchestrator.

use std::collections::{BTreeMap, BTreeSet};

use rollout::plan::plan;
use rollout::unit::Instance;
use rollout::{Action, Attempt, Cause, Outcome, Policy, Rollout};

use super::Entry;
use crate::world::{Item, World};

/// A rollout under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) machine: Rollout,
    pub(crate) id: u64,
    pub(crate) entry: Entry,
    pub(crate) policy: Policy,
    pub(crate) surge: usize,
    /// Each worker's last try.
    pub(crate) attempts: BTreeMap<u32, Attempt>,
    /// For the judge: the process that settled, or had when the rollout was resumed.
    pub(crate) proved: BTreeMap<u32, u64>,
    /// For the judge: the wanted workers that were taken while none had come through.
    pub(crate) trials: BTreeSet<u32>,
    pub(crate) taken: BTreeSet<u32>,
    /// For the judge: those that were down, as far as anybody had seen, when they were taken last.
    pub(crate) taken_idle: BTreeSet<u32>,
    /// Whose answers are counted since a worker began to settle, and the processes that they had then.
    pub(crate) begun_with: BTreeMap<Instance, Vec<(Instance, u64)>>,
    /// For the judge: those of which it was seen last that they answer with errors and an old one does not.
    pub(crate) wrong: BTreeSet<Instance>,
    /// For the judge: systemd refused or canceled a job, or gave no answer.
    pub(crate) is_unsure: bool,
}

impl World {
    /// A rollout begins as it is gone on with: it is written down, the link is flipped, and only then the units are
    /// read. Whatever is started after that runs the new release.
    pub(super) fn begin(&mut self, to: usize) {
        let served = (1..=self.disk.desired).filter(|n| self.systemd.service(*n).is_active()).collect();
        let entry = Entry {
            from: self.systemd.link,
            to,
            begun: self.now,
            is_restoring: false,
            served,
            was_interrupted: false,
        };
        self.disk.entry = Some(entry);
        self.go_on();
    }

    /// Goes on with what the ledger says is under way.
    pub(super) fn go_on(&mut self) {
        let Some(entry) = self.disk.entry.clone() else { return };
        let link = if entry.is_restoring { entry.from } else { entry.to };
        if self.is_dead() {
            return;
        }
        self.systemd.link = link;
        if self.is_dead() {
            return;
        }
        let candidates = self.candidates();
        let services = &self.systemd.services;
        let is_replaced = |instance: Instance| {
            let service = &services[instance.number() as usize - 1];
            let is_new = service.started >= entry.begun && service.invocation() != 0;
            match entry.is_restoring {
                true => is_new && service.release != entry.from,
                false => is_new && service.release == entry.to,
            }
        };
        let plan = plan(&candidates, self.disk.desired, self.settings.surge, is_replaced);
        let policy = self.policy(&entry);
        self.trace(|_| format!("rolls {entry:?}"));
        let proved = plan.iter().filter(|planned| planned.is_replaced && planned.unit.is_active());
        let proved = proved.map(|planned| planned.instance.number());
        let proved = proved.map(|number| (number, services_invocation(self, number))).collect();
        let (machine, actions) = match entry.is_restoring {
            true => Rollout::go_back(&plan, policy, Cause::Interrupted),
            false => Rollout::begin(&plan, policy),
        };
        self.rolling(machine, entry, policy, proved, actions);
    }

    fn policy(&self, entry: &Entry) -> Policy {
        Policy { has_previous: entry.from != entry.to, ..self.settings.policy }
    }

    fn rolling(
        &mut self,
        machine: Rollout,
        entry: Entry,
        policy: Policy,
        proved: BTreeMap<u32, u64>,
        actions: Vec<Action>,
    ) {
        let (life, id) = (self.orchestrator.life, self.now);
        let surge = machine.steps().iter().filter(|step| step.is_surge()).count();
        let running = Running {
            machine,
            id,
            entry,
            policy,
            surge,
            attempts: BTreeMap::new(),
            proved,
            trials: BTreeSet::new(),
            taken_idle: BTreeSet::new(),
            taken: BTreeSet::new(),
            begun_with: BTreeMap::new(),
            wrong: BTreeSet::new(),
            is_unsure: false,
        };
        self.orchestrator.running = Some(running);
        let deadline = self.settings.deadline;
        self.at(deadline, Item::Deadline { life, rollout: id });
        if let Some(running) = &self.orchestrator.running {
            let begun = running.machine.clone();
            self.watch(&begun, &actions);
        }
        self.perform(actions);
    }

    pub(super) fn restore_release(&mut self) -> Option<()> {
        let entry = self.disk.entry.as_mut()?;
        entry.is_restoring = true;
        let from = entry.from;
        if self.is_dead() {
            return None;
        }
        self.systemd.link = from;
        Some(())
    }

    pub(super) fn finish(&mut self, outcome: &Outcome) {
        self.judge_outcome(outcome);
        self.trace(|_| format!("finished: {outcome:?}"));
        self.outcomes.push(match outcome {
            Outcome::Done => "done",
            Outcome::Stopped => "stopped",
            Outcome::Restored(_) => "restored",
            Outcome::Failed(_) => "failed",
        });
        self.disk.entry = None;
        self.orchestrator.running = None;
        if let Some(desired) = self.orchestrator.scale.take() {
            self.disk.desired = desired;
        }
        if self.is_dead() {
            return;
        }
        match self.orchestrator.queued.take() {
            Some(to) => self.begin(to),
            None => self.keep(),
        }
    }
}

fn services_invocation(world: &World, number: u32) -> u64 {
    world.systemd.service(number).invocation()
}
