//! One schedule: a cluster, people, and time.
//!
//! - `queue`: what happens when.
//! - `settings`: how the cluster is configured.
//! - `people`: what they do and ask for.
//! - `nature`: what happens to processes without anybody asking for it.

mod nature;
mod people;
mod queue;
mod settings;

use rollout::OnFailure;

pub(crate) use self::queue::Item;
use self::queue::Queue;
use self::settings::Settings;
use crate::chaos::{Chaos, Class};
use crate::orchestrator::{Disk, Orchestrator, Request};
use crate::rng::Rng;
use crate::systemd::{Env, Quality, Signal, Systemd};

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its name.
    pub law: &'static str,
    /// What was seen.
    pub seen: String,
}

/// What a schedule came to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) violation: Option<Violation>,
    pub(crate) struck: Vec<u64>,
    pub(crate) outcomes: Vec<&'static str>,
    pub(crate) events: u64,
    pub(crate) trace: Vec<String>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    queue: Queue,
    pub(crate) rng: Rng,
    pub(crate) chaos: Chaos,
    pub(crate) systemd: Systemd,
    pub(crate) settings: Settings,
    /// What outlives the orchestrator.
    pub(crate) disk: Disk,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) violation: Option<Violation>,
    pub(crate) outcomes: Vec<&'static str>,
    pub(crate) trace: Option<Vec<String>>,
    is_last: bool,
    /// When all has to be over, in ms.
    bound: u64,
}

/// The longest schedule, in events: one that gets there runs in circles.
const MOST_EVENTS: u64 = 60_000;
/// After this time nobody interferes any more, in ms.
const CALM: (u64, u64) = (500, 12_000);
/// So long after a rollout all workers that are to run do, in ms.
const AFTER: u64 = 6_000;
/// How many workers there may be, extra ones included.
const SIZE: usize = 8;

impl World {
    pub(crate) fn new(seed: u64, has_trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let mut chaos = Chaos::draw(&mut rng);
        let workers = rng.worker(5);
        let settings = Settings::draw(&mut rng, &mut chaos, workers);
        let first = if rng.below(8) == 0 { Quality::Flaky(100) } else { Quality::Good };
        let systemd = Systemd::new(&mut rng, SIZE, workers, first);
        let mut world = Self {
            now: 1,
            queue: Queue::default(),
            rng,
            chaos,
            systemd,
            settings,
            disk: Disk::new(workers),
            orchestrator: Orchestrator::default(),
            violation: None,
            outcomes: Vec::new(),
            trace: has_trace.then(Vec::new),
            is_last: false,
            bound: u64::MAX,
        };
        let quiet = world.rng.between(CALM.0, CALM.1);
        world.at(0, Item::Revive);
        world.at(50, Item::People);
        world.at(50, Item::Nature);
        world.at(quiet, Item::Quiet);
        world.trace(|world| format!("{workers} workers, {:?}", world.settings));
        world
    }

    /// Lets time pass until all is judged.
    pub(crate) fn run(mut self) -> Verdict {
        let mut events = 0;
        while self.violation.is_none() {
            let Some((time, item)) = self.queue.pop() else { break };
            events += 1;
            self.now = time;
            if events > MOST_EVENTS {
                self.violate("I5 every rollout ends", || format!("{MOST_EVENTS} events and no end"));
                break;
            }
            self.happen(item);
            self.flush();
            self.watch_missing();
            if self.now > self.bound {
                self.violate("I5 every rollout ends", || "one is still under way".to_owned());
            }
        }
        Verdict {
            violation: self.violation,
            struck: self.chaos.struck,
            outcomes: self.outcomes,
            events,
            trace: self.trace.unwrap_or_default(),
        }
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Moment { worker, epoch, moment } => {
                let (systemd, mut env) = self.split();
                systemd.moment(worker, epoch, moment, &mut env);
            }
            Item::People => self.people(),
            Item::Nature => self.nature(),
            Item::Quiet => {
                self.trace(|_| "the world calms down".to_owned());
                self.chaos.is_quiet = true;
                self.at(120, Item::People);
                self.bound = self.now + self.longest();
                self.at(1_000, Item::LastReload);
                if !self.orchestrator.is_alive {
                    self.at(100, Item::Revive);
                }
            }
            Item::LastReload if self.is_rolling() => self.at(1_000, Item::LastReload),
            Item::LastReload => {
                self.is_last = true;
                self.systemd.releases.push(Quality::Good);
                self.settings.policy.on_failure = OnFailure::Rollback;
                self.settings.policy.canary = None;
                self.settings.deadline = 120_000;
                self.settings.step_deadline = 20_000;
                let to = self.systemd.releases.len() - 1;
                self.ask(Request::Reload { to });
                self.bound = self.now + self.longest();
                self.at(AFTER, Item::Judge);
            }
            Item::Judge if self.is_rolling() => self.at(AFTER, Item::Judge),
            Item::Judge => {
                self.judge();
                self.queue.clear();
            }
            other => self.orchestrate(other),
        }
    }

    /// How long two rollouts may take in a calm world, in ms.
    fn longest(&self) -> u64 {
        let steps = 2 * SIZE as u64;
        2 * (self.settings.deadline + steps * self.settings.step_deadline + 30_000)
    }

    fn is_rolling(&self) -> bool {
        !self.orchestrator.is_alive || self.orchestrator.running.is_some() || self.disk.entry.is_some()
    }

    /// What systemd has said and set in motion since.
    pub(crate) fn flush(&mut self) {
        for (delay, worker, epoch, moment) in std::mem::take(&mut self.systemd.moments) {
            self.at(delay, Item::Moment { worker, epoch, moment });
        }
        for signal in std::mem::take(&mut self.systemd.signals) {
            self.send(&signal);
        }
    }

    fn send(&mut self, signal: &Signal) {
        let life = self.orchestrator.life;
        if !self.orchestrator.is_alive || self.chaos.strikes(&mut self.rng, Class::LostSignal) {
            return;
        }
        let copies = if self.chaos.strikes(&mut self.rng, Class::DoubledSignal) { 2 } else { 1 };
        for _ in 0..copies {
            let is_late = self.chaos.strikes(&mut self.rng, Class::LateSignal);
            let delay = if is_late { self.rng.between(1, 2_000) } else { 0 };
            self.at(delay, Item::Signal { life, signal: signal.clone() });
        }
    }

    pub(crate) fn at(&mut self, delay: u64, item: Item) {
        self.queue.push(self.now + delay, item);
    }

    pub(crate) fn split(&mut self) -> (&mut Systemd, Env<'_>) {
        (&mut self.systemd, Env { now: self.now, rng: &mut self.rng, chaos: &mut self.chaos })
    }

    pub(crate) fn trace(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>7} {}", self.now, line(self));
            self.trace.get_or_insert_default().push(line);
        }
    }

    pub(crate) fn violate(&mut self, law: &'static str, seen: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let seen = seen();
            self.trace(|_| format!("{law}: {seen}"));
            self.violation = Some(Violation { law, seen });
        }
    }
}
