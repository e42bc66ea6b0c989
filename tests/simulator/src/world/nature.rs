//! Processes that end without anybody having asked for it.

use super::{Item, World};
use crate::chaos::Class;

impl World {
    pub(super) fn nature(&mut self) {
        if self.chaos.is_quiet {
            return;
        }
        let size = self.disk.desired + self.settings.surge;
        let worker = self.rng.worker(size);
        if self.chaos.strikes(&mut self.rng, Class::Crash) {
            self.trace(|_| format!("{worker} crashes"));
            self.systemd.crash(worker);
        }
        if self.chaos.strikes(&mut self.rng, Class::ExitZero) {
            self.trace(|_| format!("{worker} ends"));
            self.systemd.exit(worker);
        }
        let pause = self.rng.between(20, 1_000);
        self.at(pause, Item::Nature);
    }

    /// Between two actions of the orchestrator the world goes on.
    pub(crate) fn meanwhile(&mut self) {
        if self.chaos.strikes(&mut self.rng, Class::CrashBetween) {
            let size = self.disk.desired + self.settings.surge;
            let worker = self.rng.worker(size);
            let is_ready = self.rng.below(2) == 0;
            self.trace(|_| format!("{worker} crashes and is started at once"));
            let (systemd, mut env) = self.split();
            systemd.crash_and_respawn(worker, is_ready, &mut env);
        }
    }
}
