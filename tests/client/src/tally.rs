//! Counts results while a load runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use crate::{Answers, Example, Failure, Latency, Report};

/// More examples would not help.
const EXAMPLES: usize = 100;
/// A longer latency counts as a minute.
const MINUTE_US: u64 = 60_000_000;

/// The counts so far.
#[derive(Debug)]
pub(crate) struct Tally {
    began: Instant,
    began_us: u64,
    connections: u64,
    sent: u64,
    ok: u64,
    failures: BTreeMap<Failure, u64>,
    latency: Histogram<u64>,
    answers: Vec<Answers>,
    examples: Vec<Example>,
}

/// The worker's identity in a response to `GET /`.
#[derive(Debug, Deserialize)]
pub(crate) struct Identity<'a> {
    instance: Option<u32>,
    pub(crate) pid: u32,
    release: &'a str,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            began_us: monotonic_us(),
            connections: 0,
            sent: 0,
            ok: 0,
            failures: BTreeMap::new(),
            latency: Histogram::new_with_max(MINUTE_US, 3).expect("the bounds are in order"),
            answers: Vec::new(),
            examples: Vec::new(),
        }
    }

    pub(crate) fn connected(&mut self) {
        self.connections += 1;
    }

    pub(crate) fn answered(&mut self, took: Duration) {
        self.sent += 1;
        self.ok += 1;
        self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// A new worker is added at the end of the list.
    pub(crate) fn answered_by(&mut self, who: &Identity<'_>) {
        // The newest workers are the busiest.
        let known = self.answers.iter_mut().rev().find(|answers| {
            answers.pid == who.pid && answers.instance == who.instance && answers.release == who.release
        });
        match known {
            Some(answers) => answers.count += 1,
            None => self.answers.push(Answers {
                instance: who.instance,
                pid: who.pid,
                release: who.release.to_owned(),
                count: 1,
                first_us: self.took_us(),
            }),
        }
    }

    pub(crate) fn failed(&mut self, failure: Failure, last_pid: Option<u32>, answered: u64) {
        self.sent += u64::from(failure.has_left());
        *self.failures.entry(failure).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(Example { at_ms: self.took_us() / 1000, failure, last_pid, answered });
        }
    }

    pub(crate) fn report(&self) -> Report {
        let latency = Latency {
            p50_us: self.latency.value_at_quantile(0.5),
            p99_us: self.latency.value_at_quantile(0.99),
            p999_us: self.latency.value_at_quantile(0.999),
            max_us: self.latency.max(),
        };
        Report {
            began_us: self.began_us,
            took_ms: self.took_us() / 1000,
            connections: self.connections,
            sent: self.sent,
            ok: self.ok,
            failures: self.failures.clone(),
            latency,
            answers: self.answers.clone(),
            examples: self.examples.clone(),
        }
    }

    fn took_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

fn monotonic_us() -> u64 {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
