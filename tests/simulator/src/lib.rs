//! Puts the orchestrator in front of a world that goes wrong, millions of times.
//!
//! A seed is one schedule: a cluster, releases that work or not, operators who interfere, a bus that breaks.
//! The orchestrator dies and comes back. Time is a number, so a minute takes a fraction of a millisecond. The
//! orchestrator is the product's own (`cluster`), and only the world around it is modelled. `laws` says what
//! has to hold in every schedule.
//!
//! - `systemd`: units, jobs and processes. `bus`: the connection to it.
//! - `disk`, `release`: what is on disk.
//! - `orchestrator`: its life, and what it asks for.
//! - `world`: time, operators, nature.
//! - `chaos`: what goes wrong in this schedule.

mod bus;
mod chaos;
mod disk;
mod laws;
mod orchestrator;
mod release;
mod rng;
mod systemd;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::thread;

pub use chaos::Class;
pub use world::Violation;
use world::World;

/// A schedule in which an invariant did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed that replays it.
    pub seed: u64,
    /// Its length, in events.
    pub events: u64,
    /// The law that did not hold.
    pub violation: Violation,
}

/// The result of many schedules.
#[derive(Debug, Default)]
pub struct Report {
    /// How many schedules there were.
    pub schedules: u64,
    /// How many events they had.
    pub events: u64,
    /// How many rollouts ended with each outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How often each class struck, in the order of [`Class::ALL`].
    pub struck: Vec<u64>,
    /// How many schedules failed, and the shortest of them, for each law.
    pub failures: BTreeMap<&'static str, (u64, Failure)>,
}

impl Report {
    /// The classes that never struck. The simulation says nothing about those.
    pub fn never_struck(&self) -> impl Iterator<Item = Class> {
        let struck = |class: &Class| self.struck.get(*class as usize).copied().unwrap_or(0);
        Class::ALL.iter().copied().filter(move |class| struck(class) == 0)
    }

    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.events += other.events;
        for (law, (count, failure)) in other.failures {
            let known = self.failures.entry(law).or_insert((0, failure.clone()));
            known.0 += count;
            if (failure.events, failure.seed) < (known.1.events, known.1.seed) {
                known.1 = failure;
            }
        }
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        self.struck.resize(Class::ALL.len(), 0);
        self.struck.iter_mut().zip(other.struck).for_each(|(sum, count)| *sum += count);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} schedules, {} events", self.schedules, self.events)?;
        let outcomes: Vec<_> = self.outcomes.iter().map(|(word, count)| format!("{count} {word}")).collect();
        write!(f, "rollouts: {}", outcomes.join(", "))?;
        for (class, count) in Class::ALL.iter().zip(&self.struck) {
            write!(f, "\n{count:>12}  {}", class.words())?;
        }
        Ok(())
    }
}

/// Runs the schedules with the seeds from `first` on, in this many threads.
pub fn simulate(first: u64, schedules: u64, threads: u64) -> Report {
    let threads = threads.max(1);
    let run = |thread: u64| {
        let mut report = Report::default();
        let share = (thread..schedules).step_by(usize::try_from(threads).unwrap_or(1));
        share.for_each(|at| report.add(schedule(first.wrapping_add(at))));
        report
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        let mut report = Report::default();
        for thread in running {
            match thread.join() {
                Ok(part) => report.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        report
    })
}

fn schedule(seed: u64) -> Report {
    let verdict = World::new(seed, false).run();
    let mut outcomes = BTreeMap::new();
    for outcome in verdict.outcomes {
        *outcomes.entry(outcome).or_default() += 1;
    }
    let failure = |violation: Violation| {
        let law = violation.law;
        (law, (1, Failure { seed, events: verdict.events, violation }))
    };
    let failures = verdict.violation.map(failure).into_iter().collect();
    Report { schedules: 1, events: verdict.events, outcomes, struck: verdict.struck, failures }
}

/// What happens in the schedule with this seed, line by line.
pub fn trace(seed: u64) -> Vec<String> {
    World::new(seed, true).run().trace
}
