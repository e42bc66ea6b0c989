//! One schedule: a cluster, operators, and time.
//!
//! - `queue`: what happens when.
//! - `begin`: the world at its beginning.
//! - `manager`: calls to systemd, and what it says.
//! - `people`: what operators ask for. `operator`: what they do behind the orchestrator's back.
//! - `clients`: what waits for the workers.
//! - `nature`: what happens by itself.
//! - `calm`: the world calms down, and all is judged.

mod begin;
pub(crate) mod calm;
mod clients;
mod manager;
mod nature;
mod operator;
mod people;
mod queue;

use std::time::Duration;

use cluster::moment::Now;

use self::clients::Clients;
use self::people::People;
pub(crate) use self::queue::Item;
use self::queue::Queue;
use crate::bus::Bus;
use crate::chaos::Chaos;
use crate::disk::Disk;
use crate::laws::Books;
use crate::orchestrator::Orchestrator;
use crate::rng::Rng;
use crate::systemd::{Env, Moment, Systemd};

/// A law that did not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Its name.
    pub law: &'static str,
    /// What was seen.
    pub seen: String,
}

/// The result of a schedule.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) violation: Option<Violation>,
    pub(crate) struck: Vec<u64>,
    pub(crate) outcomes: Vec<&'static str>,
    pub(crate) events: u64,
    pub(crate) trace: Vec<String>,
}

/// The time since the Unix epoch when the schedule's clock shows 0, in us.
pub(crate) const EPOCH: u64 = 1_795_000_000_000_000;
/// When a schedule begins, in us.
pub(crate) const BEGIN: u64 = 1_000_000_000;
/// The longest schedule, in events. One that gets there runs in circles.
const MOST_EVENTS: u64 = 40_000;

/// The state of the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Socket {
    Listens,
    /// It has failed. The next start of the orchestrator tries it again.
    Failed,
    /// It is active, but systemd has lost the listener.
    Deaf,
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    queue: Queue,
    pub(crate) rng: Rng,
    pub(crate) chaos: Chaos,
    pub(crate) systemd: Systemd,
    pub(crate) bus: Bus,
    pub(crate) disk: Disk,
    pub(crate) socket: Socket,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) people: People,
    pub(crate) clients: Clients,
    pub(crate) books: Books,
    pub(crate) violation: Option<Violation>,
    pub(crate) outcomes: Vec<&'static str>,
    pub(crate) trace: Option<Vec<String>>,
    /// When everything has to be over, in us.
    bound: u64,
}

impl World {
    /// Lets time pass until all is judged.
    pub(crate) fn run(mut self) -> Verdict {
        let mut events = 0;
        while self.violation.is_none() {
            let Some((time, item)) = self.queue.pop() else { break };
            events += 1;
            self.now = time;
            if events > MOST_EVENTS {
                self.violate("every rollout ends", || format!("{MOST_EVENTS} events and no end"));
                break;
            }
            self.happen(item);
            self.flush();
            self.watch_missing();
            self.note_accepting();
            if self.now > self.bound {
                self.violate("every rollout ends", || "one is still under way".to_owned());
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
        let is_current = |life| life == self.orchestrator.life;
        match item {
            Item::Moment { worker, epoch, moment } => {
                let (systemd, mut env) = self.split();
                systemd.moment(worker, epoch, moment, &mut env);
            }
            Item::Call { bus } if bus == self.bus.number => self.call_arrives(),
            Item::Deliver { bus } if bus == self.bus.number => self.message_arrives(),
            Item::TimeOut { life, token } if is_current(life) => self.time_out(token),
            Item::Answer { life, token, answer } if is_current(life) => self.answer(token, *answer),
            Item::Disk { life } if is_current(life) => self.disk_is_done(),
            Item::Survey { life, token, task } if is_current(life) => self.survey_is_done(token, *task),
            Item::Wake { life, at } if is_current(life) => self.wake(at),
            Item::Connect { life } if is_current(life) => self.connect(),
            Item::Expect { life, caller } if is_current(life) => self.expect_reply(caller),
            Item::ExpectNone { life, rollout } if is_current(life) => self.expect_none_waits(rollout),
            Item::Stopped { life, worker, invocation, bus } if is_current(life) => {
                self.has_stopped(worker, invocation, bus);
            }
            Item::Start { life } if is_current(life) => self.start_orchestrator(),
            Item::Overdue { life } if is_current(life) => self.overdue(),
            Item::TargetRestarts { life } if is_current(life) => self.restart_target(),
            Item::Stranger { is_there } => self.stranger(is_there),
            Item::Decide => self.decide(),
            Item::Unmask => self.mask(false),
            Item::Correct => self.disk.is_configuration_valid = true,
            Item::People => self.people(),
            Item::Nature => self.nature(),
            Item::Quiet => self.calm_down(),
            Item::Calm(calm) => self.calm(calm),
            _ => {}
        }
    }

    /// Schedules what systemd has set in motion, and sends what it has said.
    pub(crate) fn flush(&mut self) {
        let moments = std::mem::take(&mut self.systemd.moments);
        for &(delay, worker, epoch, moment) in &moments {
            let is_told = matches!(moment, Moment::Tell);
            let delay = if is_told { self.rng.pick(&[0, 0, 400, 3_000]) } else { delay };
            self.at(delay, Item::Moment { worker, epoch, moment });
        }
        if self.systemd.moments.is_empty() {
            // The allocation is used again.
            self.systemd.moments = moments;
            self.systemd.moments.clear();
        }
        if !self.systemd.signals.is_empty() {
            let mut signals = std::mem::take(&mut self.systemd.signals);
            signals.drain(..).for_each(|signal| self.say(crate::bus::Message::Signal(signal)));
            self.systemd.signals = signals;
        }
        while let Some(done) = self.systemd.done.pop() {
            self.watch_unit(done);
        }
    }

    pub(crate) fn at(&mut self, delay: u64, item: Item) {
        self.queue.push(self.now + delay, item);
    }

    pub(crate) fn split(&mut self) -> (&mut Systemd, Env<'_>) {
        let (rng, chaos) = (&mut self.rng, &mut self.chaos);
        (&mut self.systemd, Env { now: self.now, rng, chaos, disk: &self.disk })
    }

    /// What the clocks show.
    pub(crate) fn clock(&self) -> Now {
        Now {
            moment: Duration::from_micros(self.now - self.systemd.booted),
            epoch: Duration::from_micros(EPOCH + self.now),
        }
    }

    pub(crate) fn trace(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let ms = (self.now - BEGIN) as f64 / 1000.0;
            let line = format!("{ms:>11.3} {}", line(self));
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
