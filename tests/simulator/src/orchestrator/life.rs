//! The orchestrator is started, gets SIGTERM, ends, or is killed.

use std::time::Duration;

use cluster::Cluster;
use cluster::effect::Call;
use cluster::input::{Input, OwnJob};
use cluster::ledger::StoppedBy;
use names::{Instance, Names};

use super::Orchestrator;
use crate::chaos::Class;
use crate::world::{Item, Socket, World};

/// `TimeoutStopSec=` of the orchestrator, in us.
const STOP_TIMEOUT: u64 = 60_000_000;

impl World {
    pub(crate) fn start_orchestrator(&mut self) {
        if self.orchestrator.core.is_some() {
            return;
        }
        self.trace(|_| "the orchestrator starts".to_owned());
        let is_cold = self.systemd.services().all(|(_, service)| !service.has_process());
        if self.socket == Socket::Failed {
            self.socket = Socket::Listens;
        } else if is_cold && self.chaos.strikes(&mut self.rng, Class::NoSocket) {
            self.socket = if self.rng.coin() { Socket::Failed } else { Socket::Deaf };
        }
        let seed = self.rng.next();
        self.orchestrator.core = Some(Cluster::new(Names::packaged(), self.disk.settings, seed));
        self.orchestrator.dies_at = self.draw_death();
        self.watch_start(is_cold);
        self.drain();
        let (life, pause) = (self.orchestrator.life, self.rng.pick(&[500, 3_000, 50_000]));
        self.at(pause, Item::Connect { life });
    }

    /// The effect at which it is killed, if it is.
    fn draw_death(&mut self) -> Option<(u32, bool)> {
        for (class, is_after) in [(Class::Death, false), (Class::DeathAfter, true)] {
            let dies = !self.chaos.is_quiet && self.chaos.has(class) && self.rng.below(3) > 0;
            if dies && self.orchestrator.life < 4 {
                let most = self.rng.pick(&[20, 60, 200]);
                return u32::try_from(self.rng.between(1, most)).ok().map(|at| (at, is_after));
            }
        }
        None
    }

    /// It is killed. systemd starts it again, unless systemd was stopping it.
    pub(crate) fn die(&mut self) {
        let (was_stopping, pause) = (self.orchestrator.own_job == OwnJob::Stop, self.rng.ms(1_000, 1_100));
        self.carry_out_some();
        self.leave_stops();
        self.end_life(true);
        let pause = if was_stopping { self.rng.ms(100, 3_000) } else { pause };
        let life = self.orchestrator.life;
        self.at(pause, Item::Start { life });
    }

    /// A part of what it had asked for when it was killed is still done.
    fn carry_out_some(&mut self) {
        let count = self.rng.index(self.orchestrator.tasks.len() + 1);
        for (_, task) in self.orchestrator.tasks.drain(..count).collect::<Vec<_>>() {
            self.disk.perform(task, &mut self.rng, &mut self.chaos);
        }
        self.orchestrator.tasks.iter().for_each(|(_, task)| self.disk.leave(task));
        for _ in 0..self.rng.index(self.bus.calls.len() + 1) {
            self.call_arrives();
        }
    }

    /// Its successor cannot tell its stops from an operator's, unless the ledger says that they are its own.
    fn leave_stops(&mut self) {
        let is_noted = |instance: &Instance| self.disk.ledger.stopped.get(instance) == Some(&StoppedBy::Us);
        let asked = self.bus.open.iter().filter_map(|(_, call)| match call {
            Call::Stop(instance) => Some(*instance),
            _ => None,
        });
        let wanted = self.disk.ledger.wanted.unwrap_or(0);
        let stopped = self.systemd.stopped_for_orchestrator().filter(|i| i.number() <= wanted);
        let unknown = asked.chain(stopped).filter(|instance| !is_noted(instance));
        self.people.may_stay = unknown.fold(self.people.may_stay, |bits, i| bits | 1 << i.number());
    }

    /// Only what is on disk is left of it.
    fn end_life(&mut self, was_restarted: bool) {
        self.bus.cut();
        self.bus.open.clear();
        self.systemd.is_heard = false;
        let life = self.orchestrator.life + 1;
        self.orchestrator = Orchestrator { life, was_restarted, ..Orchestrator::default() };
        self.watch_end();
    }

    /// It ends by itself.
    pub(super) fn exit(&mut self) {
        self.watch_exit();
        let own_job = self.orchestrator.own_job;
        // The tasks that it gave to the disk are done first.
        for (_, task) in std::mem::take(&mut self.orchestrator.tasks) {
            self.disk.perform(task, &mut self.rng, &mut self.chaos);
        }
        self.end_life(own_job == OwnJob::None);
        let pause = match own_job {
            OwnJob::None => self.rng.ms(1_000, 1_100),
            OwnJob::Other => self.rng.ms(1, 300),
            OwnJob::Stop => self.rng.ms(100, 3_000),
        };
        let life = self.orchestrator.life;
        self.at(pause, Item::Start { life });
    }

    /// It ends with a failure.
    pub(super) fn fail(&mut self) {
        self.end_life(true);
        let (life, pause) = (self.orchestrator.life, self.rng.ms(1_000, 1_100));
        self.at(pause, Item::Start { life });
    }

    /// It gets SIGTERM, and systemd has this job for it.
    pub(crate) fn terminate(&mut self, own_job: OwnJob) {
        if self.orchestrator.core.is_none() || self.orchestrator.terminated.is_some() {
            return;
        }
        self.orchestrator.own_job = own_job;
        self.orchestrator.terminated = Some(self.now);
        self.people.is_late_job_possible = !self.bus.undecided.is_empty();
        if own_job == OwnJob::Stop {
            self.people.stops_all();
        }
        self.put_off(STOP_TIMEOUT);
        self.feed(Input::Terminate);
    }

    fn put_off(&mut self, span: u64) {
        let life = self.orchestrator.life;
        self.orchestrator.overdue_at = self.now.saturating_add(span);
        self.at(span, Item::Overdue { life });
    }

    /// It asks for more time.
    pub(super) fn extend(&mut self, span: Duration) {
        if self.orchestrator.terminated.is_some() {
            let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
            if self.now.saturating_add(span) > self.orchestrator.overdue_at {
                self.put_off(span);
            }
        }
    }

    pub(crate) fn overdue(&mut self) {
        if self.now >= self.orchestrator.overdue_at {
            self.watch_overdue();
            self.trace(|_| "killed, for it did not end in time".to_owned());
            self.die();
        }
    }

    /// The machine boots.
    pub(crate) fn boot(&mut self) {
        self.trace(|_| "the machine boots".to_owned());
        self.end_life(false);
        self.bus.undecided.clear();
        self.bus.abandoned = 0;
        self.systemd.boot(self.now);
        self.disk.boot();
        self.forget_stopped();
        self.watch_boot();
        let life = self.orchestrator.life;
        self.at(20_000, Item::Start { life });
    }
}
