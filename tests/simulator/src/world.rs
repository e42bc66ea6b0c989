//! One schedule: a cluster, people, and time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rollout::{Attempt, OnFailure, Policy};

use crate::chaos::{Chaos, Class};
use crate::orchestrator::{Disk, Orchestrator, Request};
use crate::rng::Rng;
use crate::systemd::{BAD, Env, Moment, Quality, Signal, Systemd, Verb, Who};

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

/// What happens at some time.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Moment { worker: u32, epoch: u64, moment: Moment },
    Signal { life: u64, signal: Signal },
    Look { life: u64, worker: u32 },
    Tick { life: u64 },
    Settled { life: u64, rollout: u64, worker: u32 },
    StepDeadline { life: u64, rollout: u64, worker: u32, attempt: Attempt },
    Deadline { life: u64, rollout: u64 },
    Revive,
    People,
    Nature,
    Quiet,
    LastReload,
    Judge,
}

struct Entry(u64, u64, Item);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The settings of the cluster, the same for all rollouts of a schedule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) surge: u32,
    pub(crate) policy: Policy,
    /// How long one worker may take, in ms.
    pub(crate) step_deadline: u64,
    /// How long a rollout may take, in ms.
    pub(crate) deadline: u64,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<Entry>>,
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
        let surge = rng.pick(&[0, 1, 1, 1, 2, 3]);
        let max_unavailable = if surge == 0 { rng.pick(&[1, 1, 2]) } else { rng.pick(&[0, 0, 1, 2]) };
        let halts = chaos.strikes(&mut rng, Class::Halt);
        let canary = chaos.strikes(&mut rng, Class::Canary).then(|| rng.worker(workers));
        let policy = Policy {
            settle: Duration::from_millis(rng.pick(&[200, 1_000])),
            max_unavailable,
            on_failure: if halts { OnFailure::Halt } else { OnFailure::Rollback },
            has_previous: true,
            canary,
        };
        let is_short = chaos.strikes(&mut rng, Class::ShortDeadline);
        let deadline = if is_short { rng.between(100, 5_000) } else { 120_000 };
        let settings = Settings { surge, policy, step_deadline: rng.pick(&[2_000, 20_000]), deadline };
        let first = if rng.below(8) == 0 { Quality::Flaky(100) } else { Quality::Good };
        let systemd = Systemd::new(&mut rng, SIZE, workers, first);
        let mut world = Self {
            now: 1,
            sequence: 0,
            queue: BinaryHeap::new(),
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
            let Some(Reverse(Entry(time, _, item))) = self.queue.pop() else { break };
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

    /// People at work.
    fn people(&mut self) {
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

    fn nature(&mut self) {
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

    pub(crate) fn at(&mut self, delay: u64, item: Item) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry(self.now + delay, self.sequence, item)));
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
