//! Which processes run and which are missing, counted by systemd.

use cluster::step::StepState;
use cluster::view;

use super::has;
use crate::chaos::Class;
use crate::systemd::{Missing, SIZE};
use crate::world::World;

impl World {
    /// A process was started.
    pub(crate) fn watch_spawn(&mut self, worker: u32) {
        let bit = 1 << worker;
        let is_unknown = has(self.books.pointing, worker);
        self.books.unknown = if is_unknown { self.books.unknown | bit } else { self.books.unknown & !bit };
        let is_astray = has(self.disk.stuck, worker);
        self.books.astray = if is_astray { self.books.astray | bit } else { self.books.astray & !bit };
        let Some(rolled) = &self.books.rolled else { return };
        // If a file was lost in between, it is not known any more which release was current. The number of
        // workers at the beginning is not known either.
        let is_unknown = rolled.was_interrupted && self.disk.has_lost();
        if rolled.from.is_none() || rolled.is_proved || is_unknown || worker > SIZE {
            return;
        }
        // An operator may start a worker that was left out while its link is being set back.
        let is_excused = |worker: u32| has(rolled.had | self.books.unknown, worker);
        let executes = |worker: u32| {
            let service = self.systemd.service(worker);
            service.has_process() && service.release == rolled.to && !is_excused(worker)
        };
        if executes(worker)
            && let Some(other) = (1..=SIZE).find(|other| *other != worker && executes(*other))
        {
            self.violate("the first worker proves a release", || {
                format!("workers {worker} and {other} execute it, and none has settled")
            });
        }
    }

    /// Checks how many are missing because of the rollout.
    pub(crate) fn watch_missing(&mut self) {
        let Some(rolled) = &self.books.rolled else { return };
        let may = match rolled.kind {
            cluster::history::Kind::Recycle => usize::from(self.disk.settings.surge == 0),
            _ => self.disk.settings.max_unavailable as usize,
        };
        let ours = |(_, service): &(u32, &crate::systemd::Service)| service.missing == Missing::Ours;
        // There are seldom more than that, so the rest is seldom checked.
        if self.systemd.services().filter(ours).count() <= may {
            return;
        }
        let is_ours = |step: &&view::Step| {
            let worker = step.instance.number();
            let is_excused = has(rolled.idle | self.books.paused, worker) || !has(rolled.served, worker);
            let is_missing = self.systemd.service(worker).missing == Missing::Ours;
            !step.is_surge && is_missing && !is_excused && step.state != StepState::Failed
        };
        let missing = rolled.steps.iter().filter(is_ours).count();
        let stands_in = |step: &&view::Step| {
            let worker = step.instance.number();
            let is_there = self.systemd.service(worker).missing != Missing::Ours;
            step.is_surge && (is_there || step.state == StepState::Failed || has(rolled.dropped, worker))
        };
        let stands_in = rolled.steps.iter().filter(stands_in).count();
        // A job may come late for which polkit has taken long to decide.
        let is_late = rolled.is_unsure && self.chaos.has(Class::Stuck);
        let left_over = usize::from(rolled.was_interrupted || is_late) + usize::from(rolled.is_restoring);
        let most = may + stands_in + left_over;
        if missing > most {
            self.violate("missing because of us", || format!("{missing}, at most {most}"));
        }
    }
}
