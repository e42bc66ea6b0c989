//! People at work: they start and stop workers behind the orchestrator's back, and ask it for things.

use super::{Item, World};
use crate::chaos::Class;
use crate::orchestrator::Request;
use crate::systemd::{BAD, Quality, Verb, Who};

impl World {
    /// People at work.
    pub(super) fn people(&mut self) {
        let size = self.disk.desired + self.settings.surge;
        let worker = self.rng.worker(size);
        for (class, verb) in [
            (Class::OperatorStop, Verb::Stop),
            (Class::OperatorStart, Verb::Start),
            (Class::OperatorRestart, Verb::Restart),
        ] {
            if self.chaos.strikes(&mut self.rng, class) {
                self.trace(|_| format!("somebody: {verb:?} {worker}"));
                let (systemd, mut env) = self.split();
                systemd.enqueue(worker, verb, Who::Operator, &mut env);
            }
        }
        let is_first = self.outcomes.is_empty() && self.disk.entry.is_none();
        if is_first || self.chaos.strikes(&mut self.rng, Class::Reload) {
            let to = self.new_release();
            self.ask(Request::Reload { to });
        }
        if self.chaos.strikes(&mut self.rng, Class::Pause) {
            self.ask(Request::Pause);
        }
        if self.chaos.is_quiet || self.chaos.strikes(&mut self.rng, Class::Resume) {
            self.ask(Request::Resume);
        }
        if self.chaos.strikes(&mut self.rng, Class::Abort) {
            self.ask(Request::Abort);
        }
        if self.chaos.strikes(&mut self.rng, Class::Scale) {
            let desired = self.rng.worker(5);
            self.ask(Request::Scale(desired));
        }
        if !self.is_last {
            let pause = self.rng.between(50, 2_000);
            self.at(pause, Item::People);
        }
    }

    /// The release that the next rollout is to bring.
    fn new_release(&mut self) -> usize {
        if self.chaos.strikes(&mut self.rng, Class::SameRelease) {
            return self.systemd.link;
        }
        let quality = match self.rng.below(10) {
            0..5 => Quality::Good,
            5..7 => Quality::Flaky(self.rng.pick(&[50, 300])),
            _ => Quality::Bad(self.rng.pick(&BAD)),
        };
        self.systemd.releases.push(quality);
        self.trace(|world| format!("release {} is {quality:?}", world.systemd.releases.len() - 1));
        self.systemd.releases.len() - 1
    }
}
