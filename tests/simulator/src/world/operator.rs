//! What operators do with systemctl, behind the orchestrator's back.

use cluster::input::{OwnJob, Signal};
use cluster::ledger::StoppedBy;
use cluster::release::ReleaseId;
use names::Instance;

use super::{Item, World};
use crate::bus::{Message, Polkit};
use crate::chaos::Class;
use crate::systemd::{Done, Phase, SIZE, Verb, Who};

impl World {
    pub(super) fn operators(&mut self) {
        let size = (self.disk.settings.workers + self.disk.settings.surge + 1).min(SIZE);
        let worker = self.rng.worker(size);
        for (class, verb) in [
            (Class::OperatorStop, Verb::Stop),
            (Class::OperatorStart, Verb::Start),
            (Class::OperatorRestart, Verb::Restart),
        ] {
            if self.chaos.strikes(&mut self.rng, class) {
                self.trace(|_| format!("an operator: {verb:?} {worker}"));
                self.operator(worker, verb);
            }
        }
        let (life, is_alive) = (self.orchestrator.life, self.orchestrator.core.is_some());
        if is_alive && life < 4 && self.chaos.strikes(&mut self.rng, Class::RestartOrchestrator) {
            let own_job = if self.rng.below(4) == 0 { OwnJob::None } else { OwnJob::Other };
            self.terminate(own_job);
        }
        if is_alive && life < 4 && self.chaos.strikes(&mut self.rng, Class::StopCluster) {
            self.terminate(OwnJob::Stop);
        }
        if life < 3 && self.rng.below(4) == 0 && self.chaos.strikes(&mut self.rng, Class::Boot) {
            self.boot();
        }
        if self.chaos.strikes(&mut self.rng, Class::Masked) {
            self.mask(true);
            self.books.note_unsure();
            let pause = self.rng.ms(100, 3_000);
            self.at(pause, Item::Unmask);
        }
        for (class, polkit) in [(Class::Refused, Polkit::Refuses), (Class::Stuck, Polkit::Hangs)] {
            if self.bus.polkit == Polkit::Grants && self.chaos.strikes(&mut self.rng, class) {
                self.bus.polkit = polkit;
                self.books.note_unsure();
                let pause = self.rng.pick(&[100, 1_000, 5_000, 25_000]) * 1_000;
                self.at(pause, Item::Decide);
            }
        }
        self.rest();
    }

    /// An operator masks the workers, or unmasks them. systemctl then has systemd reload the unit files.
    pub(super) fn mask(&mut self, is_masked: bool) {
        if std::mem::replace(&mut self.systemd.is_masked, is_masked) != is_masked {
            self.say(Message::Signal(Signal::Reloaded));
        }
    }

    fn rest(&mut self) {
        for class in [Class::LostLedger, Class::LostCurrent, Class::LostBootId] {
            if self.chaos.strikes(&mut self.rng, class) {
                self.trace(|_| class.words().to_owned());
                self.disk.lose(class);
            }
        }
        if self.chaos.strikes(&mut self.rng, Class::NotRunnable) && !self.disk.releases.is_empty() {
            let at = self.rng.index(self.disk.releases.len());
            self.disk.releases[at].is_runnable = false;
            self.trace(|world| format!("{} cannot be executed any more", world.disk.releases[at].id));
        }
    }

    fn operator(&mut self, worker: u32, verb: Verb) {
        let bit = 1 << worker;
        let service = self.systemd.service(worker);
        let is_plain = service.is_active() && service.job.is_none() && self.is_heard_at_once(worker);
        let is_at_rest = self.is_at_rest();
        let is_away = service.is_active() && service.job.is_none() && self.is_away_and_known(worker);
        let (systemd, mut env) = self.split();
        if systemd.enqueue(worker, verb, Who::Operator, &mut env).is_none() {
            return;
        }
        self.books.note_unsure();
        self.people.must_stay &= !bit;
        self.people.may_stay &= !bit;
        self.people.stopping &= !bit;
        self.people.stopping_away &= !bit;
        self.people.stopped_away &= !bit;
        if verb != Verb::Stop {
            self.people.started_at = Some(self.now);
            return;
        }
        self.people.may_stay |= bit;
        self.people.stopping_away |= if is_away { bit } else { 0 };
        if is_plain {
            self.people.stopping |= bit;
            // Otherwise the orchestrator has to hear of it first.
            self.people.must_stay |= if is_at_rest { bit } else { 0 };
        }
    }

    /// Whether the orchestrator hears at once what happens to this worker, and does nothing for it.
    fn is_heard_at_once(&self, worker: u32) -> bool {
        let is_under_way = self.books.rolled.as_ref().is_some_and(|rolled| rolled.is_under_way(worker));
        let is_called = self.bus.open.iter().chain(&self.bus.undecided).any(|(_, call)| {
            use cluster::effect::Call::{Restart, Stop};
            matches!(call, Restart(instance) | Stop(instance) if instance.number() == worker)
        });
        self.systemd.is_heard
            && self.orchestrator.is_ready
            && self.orchestrator.terminated.is_none()
            && worker <= self.disk.settings.workers.min(self.desired())
            && !is_under_way
            && !is_called
    }

    /// Whether there is no orchestrator, and the next one must know that this worker ran and should not be
    /// stopped.
    fn is_away_and_known(&self, worker: u32) -> bool {
        let ledger = &self.disk.ledger;
        let is_wanted = ledger.wanted.is_some_and(|wanted| worker <= wanted.min(self.disk.settings.workers));
        let is_noted = Instance::new(worker).is_some_and(|instance| ledger.stopped.contains_key(&instance));
        self.orchestrator.core.is_none()
            && self.books.rolled.is_none()
            && !self.disk.has_lost()
            && self.disk.links.get(worker as usize).is_some_and(Option::is_some)
            && is_wanted
            && !is_noted
    }

    /// The orchestrator has found out how things stand. If none of the wanted workers runs, all were stopped
    /// together.
    pub(crate) fn has_adopted(&mut self) {
        // What was lost before is lost to it too.
        self.disk.begin();
        let wanted = self.disk.ledger.wanted.unwrap_or(0).min(self.disk.settings.workers);
        let is_any_up = (1..=wanted).any(|worker| !self.systemd.service(worker).is_at_rest());
        if !is_any_up || self.disk.has_lost() {
            self.people.stopped_away = 0;
        }
        // The last running worker may have ended since the orchestrator was started. Then the orchestrator
        // found none, and starts the whole cluster.
        if (1..=SIZE).all(|worker| self.orchestrator.heard(worker).is_down()) {
            self.people.must_stay = 0;
        }
        self.people.stopping_away = 0;
        self.note_unknown();
        for (instance, by) in &self.disk.ledger.stopped {
            if *by == StoppedBy::Us && !self.orchestrator.heard(instance.number()).is_down() {
                self.people.claim(instance.number(), self.now);
            }
        }
    }

    /// Whether this release becomes current at the start of the whole cluster, and was not before.
    pub(super) fn is_new_at_the_start(&self, id: &ReleaseId) -> bool {
        self.books.rolled.is_none() && !self.orchestrator.is_ready && self.disk.current != self.disk.find(id)
    }

    /// Whether nothing is under way that could start a worker.
    fn is_at_rest(&self) -> bool {
        self.books.rolled.is_none()
            && self.bus.open.is_empty()
            && self.bus.lateness == 0
            && self.orchestrator.is_idle()
    }

    /// An operator's job stopped a unit, or a process was started.
    pub(super) fn watch_unit(&mut self, done: Done) {
        match done {
            Done::Stopped(worker) => {
                if self.people.is_claimed(worker, self.now) {
                    self.people.must_stay &= !(1 << worker);
                    self.people.stopping &= !(1 << worker);
                }
                // If the orchestrator hears of the stop, it knows it by then.
                let (life, epoch) = (self.orchestrator.life, self.systemd.service(worker).invocation);
                let is_away =
                    self.orchestrator.core.is_none() && self.people.stopping_away & (1 << worker) != 0;
                self.people.stopped_away |= if is_away { 1 << worker } else { 0 };
                if self.people.stopping & (1 << worker) != 0 {
                    self.at(500_000, Item::Stopped { life, worker, invocation: epoch, bus: self.bus.number });
                }
            }
            Done::Started(worker) => {
                let bit = 1 << worker;
                let by_the_next = self.people.stopped_away & bit != 0 && self.orchestrator.core.is_some();
                if self.people.must_stay & bit != 0 || by_the_next {
                    let seen = || format!("worker {worker} is started");
                    self.violate("what an operator stopped stays stopped", seen);
                }
                self.people.must_stay &= !bit;
                self.people.stopping &= !bit;
                self.people.stopped_away &= !bit;
                self.watch_spawn(worker);
            }
        }
    }

    /// The orchestrator has had time to hear that an operator stopped this worker.
    pub(super) fn has_stopped(&mut self, worker: u32, invocation: u64, bus: u32) {
        let service = self.systemd.service(worker);
        let is_same = service.invocation == invocation || service.invocation == 0;
        let is_known = self.orchestrator.heard(worker).is_inactive() && self.bus.number == bus;
        let bit = 1 << worker;
        if is_same && service.phase == Phase::Inactive && is_known && self.people.stopping & bit != 0 {
            self.people.must_stay |= bit;
        }
        self.people.stopping &= !bit;
    }

    /// A rollout is ordered. It may start a worker that is just being stopped.
    pub(super) fn is_ordered(&mut self) {
        self.people.must_stay &= !self.people.stopping;
    }

    /// Signals are lost, or reach no client. A worker that was just stopped may be taken for something else.
    pub(crate) fn note_lost_signals(&mut self) {
        self.books.note_unsure();
        let people = &mut self.people;
        for (worker, service) in self.systemd.services() {
            let is_over = service.is_at_rest() && self.orchestrator.heard(worker).is_inactive();
            if !is_over {
                people.must_stay &= !(1 << worker);
                people.stopping &= !(1 << worker);
            }
        }
    }

    /// Another number of workers is wanted. Those beyond it do not count as stopped by an operator any more.
    pub(crate) fn stopped_beyond(&mut self, wanted: u32) {
        let those = (1 << (wanted + 1)) - 1;
        self.people.must_stay &= those;
        self.people.stopping &= those;
        self.people.stopping_away &= those;
        self.people.stopped_away &= those;
    }

    /// All workers are to run, even those that an operator stopped.
    pub(crate) fn forget_stopped(&mut self) {
        (self.people.must_stay, self.people.may_stay, self.people.stopped_away) = (0, 0, 0);
    }
}
