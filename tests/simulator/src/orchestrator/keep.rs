//! The keeper: from time to time it looks at all workers, starts who is missing and stops who is not wanted.

use rollout::StepState;
use rollout::keep::{self, Correction};
use rollout::plan::Candidate;

use super::TICK;
use crate::systemd::Verb;
use crate::world::{Item, World};

impl World {
    pub(super) fn tick(&mut self) {
        if self.is_dead() {
            return;
        }
        let life = self.orchestrator.life;
        self.at(TICK, Item::Tick { life });
        let machine = self.orchestrator.running.as_ref().map(|running| &running.machine);
        let is_idle = machine.is_some_and(|machine| {
            !machine.is_waiting() && !machine.steps().iter().any(rollout::Step::is_under_way)
        });
        if is_idle {
            self.look_at_all();
        }
        self.keep();
    }

    pub(super) fn keep(&mut self) {
        let known = self.orchestrator.read.clone();
        let candidates = self.candidates();
        let is_news =
            |candidate: &&Candidate| known.get(&candidate.instance.number()) != Some(&candidate.unit);
        let news: Vec<_> = candidates.iter().filter(is_news).copied().collect();
        self.orchestrator.read = known.clone();
        // What the keeper has seen the machine has to know too, as it is then: not as it was before the last action.
        news.into_iter().for_each(|candidate| self.look(candidate.instance.number()));
        let machine = self.orchestrator.running.as_ref().map(|running| &running.machine);
        let corrections = keep::corrections(self.disk.desired, &candidates);
        let allowed = corrections.into_iter().filter(|correction| match (machine, correction) {
            (None, _) => true,
            (Some(machine), Correction::Start(instance)) => {
                !machine.step(*instance).is_some_and(|s| s.is_at_hand() || s.state() == StepState::Skipped)
            }
            (Some(_), Correction::Stop(_)) => false,
        });
        for correction in allowed.collect::<Vec<_>>() {
            if self.is_dead() {
                return;
            }
            match correction {
                Correction::Start(instance) => self.enqueue(instance.number(), Verb::Start),
                Correction::Stop(instance) => self.enqueue(instance.number(), Verb::Stop),
            };
            self.flush();
        }
    }
}
