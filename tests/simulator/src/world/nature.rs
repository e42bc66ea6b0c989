//! What happens by itself.

use cluster::input::{Input, Signal};

use super::{Item, World};
use crate::bus::Message;
use crate::chaos::Class;
use crate::systemd::{Exit, SIZE, STRANGER};

impl World {
    pub(super) fn nature(&mut self) {
        if self.chaos.is_quiet {
            return;
        }
        let size = (self.disk.settings.workers + self.disk.settings.surge).min(SIZE);
        let worker = self.rng.worker(size);
        if self.chaos.strikes(&mut self.rng, Class::Crash) {
            self.crash(worker, Exit::CRASH);
        }
        if self.rng.below(4) == 0 && self.chaos.strikes(&mut self.rng, Class::CrashOfAll) {
            (1..=size).for_each(|worker| self.crash(worker, Exit::CRASH));
        }
        if self.chaos.strikes(&mut self.rng, Class::ExitZero) {
            self.crash(worker, Exit::ZERO);
        }
        if self.chaos.strikes(&mut self.rng, Class::Recycle) {
            self.is_ordered();
            self.systemd.ask(worker);
        }
        if self.chaos.strikes(&mut self.rng, Class::LostConnection) {
            self.disconnect();
        }
        if self.bus.is_subscribed && self.chaos.strikes(&mut self.rng, Class::Reexecuted) {
            self.trace(|_| "systemd executes itself anew".to_owned());
            self.reexecute();
        }
        if self.chaos.strikes(&mut self.rng, Class::DaemonReload) {
            self.say(Message::Signal(Signal::Reloaded));
        }
        self.bus.lateness = 0;
        if self.chaos.strikes(&mut self.rng, Class::LateBus) {
            self.bus.lateness = self.rng.ms(1, 2_000);
        }
        if self.chaos.strikes(&mut self.rng, Class::SpareWake) {
            self.feed(Input::Wake);
        }
        let pause = self.rng.ms(10, 700);
        self.at(pause, Item::Nature);
    }

    /// A unit that has the name of a worker begins to run, or is gone.
    pub(super) fn stranger(&mut self, is_there: bool) {
        self.systemd.has_stranger = is_there;
        if is_there {
            self.systemd.begin_active(STRANGER, None, self.now);
        } else {
            self.systemd.vanish(STRANGER);
        }
    }

    fn crash(&mut self, worker: u32, exit: Exit) {
        self.trace(|_| format!("worker {worker} ends: {exit:?}"));
        let (systemd, mut env) = self.split();
        systemd.crash(worker, exit, &mut env);
    }
}
