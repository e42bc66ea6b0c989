//! The orchestrator's driver in small: what turns the world into events and actions into the world.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rollout::keep::{self, Correction};
use rollout::plan::{Candidate, plan};
use rollout::unit::{Instance, Unit};
use rollout::{Action, Attempt, Cause, Event, Outcome, Policy, Rollout, StepState};

use crate::chaos::Class;
use crate::systemd::{Signal, Verb, Who};
use crate::world::{Item, World};

/// After this time a worker with a job is looked at, in ms.
const LOOK_AFTER: u64 = 1_000;
/// So often the keeper looks at all, in ms.
const TICK: u64 = 900;

/// What the ledger says of a rollout under way.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// When it began, in ms.
    pub(crate) begun: u64,
    pub(crate) is_restoring: bool,
    /// For the judge: who served when it began.
    pub(crate) served: BTreeSet<u32>,
    /// For the judge: an orchestrator died during it.
    pub(crate) was_interrupted: bool,
}

/// What outlives the orchestrator.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) entry: Option<Entry>,
    pub(crate) held: BTreeSet<u32>,
    pub(crate) desired: u32,
}

impl Disk {
    pub(crate) fn new(desired: u32) -> Self {
        Self { entry: None, held: BTreeSet::new(), desired }
    }
}

/// What people ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    Reload { to: usize },
    Pause,
    Resume,
    Abort,
    Scale(u32),
}

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
    /// For the judge: systemd refused or canceled a job, or gave no answer.
    pub(crate) is_unsure: bool,
}

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

pub(crate) fn instance(number: u32) -> Option<Instance> {
    Instance::new(number)
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
                self.told(worker, |instance, unit| Event::Settled { instance, unit });
            }
            Item::StepDeadline { life: of, rollout, worker, attempt }
                if of == life && self.rolls(rollout) =>
            {
                if let Some(instance) = instance(worker) {
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

    fn revive(&mut self) {
        self.orchestrator.is_alive = true;
        self.trace(|_| "the orchestrator starts".to_owned());
        let life = self.orchestrator.life;
        self.at(TICK, Item::Tick { life });
        self.go_on();
    }

    /// Goes on with what the ledger says is under way.
    fn go_on(&mut self) {
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
            taken: BTreeSet::new(),
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

    pub(crate) fn ask(&mut self, request: Request) {
        if !self.orchestrator.is_alive {
            return;
        }
        self.trace(|_| format!("somebody: {request:?}"));
        match request {
            Request::Reload { to } if self.orchestrator.running.is_some() => {
                self.orchestrator.queued = Some(to)
            }
            Request::Reload { to } => self.begin(to),
            Request::Pause => self.event(Event::Pause),
            Request::Resume => self.event(Event::Resume),
            Request::Abort => self.event(Event::Abort),
            Request::Scale(desired) if self.orchestrator.running.is_some() => {
                self.orchestrator.scale = Some(desired);
            }
            Request::Scale(desired) => self.disk.desired = desired,
        }
    }

    /// A rollout begins as it is gone on with: it is written down, the link is flipped, and only then the units are
    /// read. Whatever is started after that runs the new release.
    fn begin(&mut self, to: usize) {
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

    fn heard(&mut self, signal: Signal) {
        if self.is_dead() {
            return;
        }
        match signal {
            Signal::PropertiesChanged(worker) => self.look(worker),
            Signal::JobRemoved { id, worker, result, was_operators_stop } => {
                if self.orchestrator.jobs.remove(&id).is_some() {
                    self.told(worker, |instance, unit| Event::JobFinished { instance, result, unit });
                } else if was_operators_stop && self.systemd.service(worker).is_inactive() {
                    self.hold(worker);
                }
            }
        }
    }

    fn hold(&mut self, worker: u32) {
        if worker <= self.disk.desired {
            self.disk.held.insert(worker);
        }
        if let Some(instance) = instance(worker) {
            self.event(Event::Held(instance));
        }
    }

    fn look(&mut self, worker: u32) {
        self.told(worker, |instance, unit| Event::Looked { instance, unit });
    }

    fn look_until_over(&mut self, worker: u32) {
        let is_at_hand = |world: &Self| {
            let machine = world.orchestrator.running.as_ref().map(|running| &running.machine);
            instance(worker).zip(machine).is_some_and(|(instance, machine)| machine.is_at_hand(instance))
        };
        if is_at_hand(self) {
            self.look(worker);
        }
        if is_at_hand(self) {
            let life = self.orchestrator.life;
            self.at(LOOK_AFTER, Item::Look { life, worker });
        }
    }

    fn told(&mut self, worker: u32, event: impl FnOnce(Instance, Unit) -> Event) {
        let unit = self.read(worker);
        if let Some(instance) = instance(worker) {
            self.event(event(instance, unit));
        }
    }

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

    fn perform(&mut self, actions: Vec<Action>) {
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
                Action::Ignore(_) => None,
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
    fn enqueue(&mut self, worker: u32, verb: Verb) -> Option<bool> {
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

    fn restore_release(&mut self) -> Option<()> {
        let entry = self.disk.entry.as_mut()?;
        entry.is_restoring = true;
        let from = entry.from;
        if self.is_dead() {
            return None;
        }
        self.systemd.link = from;
        Some(())
    }

    fn finish(&mut self, outcome: &Outcome) {
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

    fn tick(&mut self) {
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

    fn look_at_all(&mut self) {
        let machine = self.orchestrator.running.as_ref().map(|running| &running.machine);
        let all: Vec<_> = machine.into_iter().flat_map(|m| m.steps()).map(|step| step.instance()).collect();
        for instance in all {
            self.look(instance.number());
            self.flush();
        }
    }

    fn keep(&mut self) {
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

    /// After each event: whom the machine skips is held, as systemd's canceled job told.
    pub(crate) fn note_skipped(&mut self) {
        let Some(running) = &mut self.orchestrator.running else { return };
        let skipped = running.machine.steps().iter().filter(|step| step.state() == StepState::Skipped);
        for number in skipped.map(|step| step.instance().number()) {
            running.trials.remove(&number);
            self.disk.held.insert(number);
        }
    }
}

fn services_invocation(world: &World, number: u32) -> u64 {
    world.systemd.service(number).invocation()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
