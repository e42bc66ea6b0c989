//! The result of a load.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// The result of a load. The program `client --json` prints it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When the load began, in microseconds of the monotonic clock. All processes share that clock
    /// (clock_gettime(2)).
    pub began_us: u64,
    /// How long it ran, in milliseconds.
    pub took_ms: u64,
    /// How many connections were established.
    pub connections: u64,
    /// How many requests were sent, in whole or in part.
    pub sent: u64,
    /// How many of them were answered correctly.
    pub ok: u64,
    /// How many requests were lost, by kind of failure.
    pub failures: BTreeMap<Failure, u64>,
    /// How long the answered requests took.
    pub latency: Latency,
    /// Which workers answered, and how often (only for `GET /`).
    pub answers: Vec<Answers>,
    /// The first failures.
    pub examples: Vec<Example>,
}

/// How long answered requests took, in microseconds, including a connect if there was one. At a fixed rate
/// the time counts from when the request was due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50_us: u64,
    /// 99 of 100 requests took no longer.
    pub p99_us: u64,
    /// 999 of 1000 requests took no longer.
    pub p999_us: u64,
    /// The slowest one.
    pub max_us: u64,
}

/// A worker that answered, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// The worker's instance number.
    pub instance: Option<u32>,
    /// The worker's pid.
    pub pid: u32,
    /// The release it runs.
    pub release: String,
    /// How often it answered.
    pub count: u64,
    /// When it first answered, in microseconds since the load began.
    pub first_us: u64,
}

/// One lost request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// When, in milliseconds since the load began.
    pub at_ms: u64,
    /// How it was lost.
    pub failure: Failure,
    /// The pid of the worker that answered the request before it on the same connection, if known.
    pub last_pid: Option<u32>,
    /// How many requests had been answered on the same connection.
    pub answered: u64,
}

impl Report {
    /// How many requests were lost in total.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// How many requests were lost in this way.
    pub fn count(&self, failure: Failure) -> u64 {
        self.failures.get(&failure).copied().unwrap_or(0)
    }

    /// How many of them ended with the process that served them ([`Failure::is_cut`]).
    pub fn cut(&self) -> u64 {
        self.failures.iter().filter(|(failure, _)| failure.is_cut()).map(|(_, count)| count).sum()
    }

    /// Whether there were requests and none of them was lost.
    pub fn is_clean(&self) -> bool {
        self.ok > 0 && self.failed() == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50_us, p99_us, p999_us, max_us } = self.latency;
        let rate = self.ok.saturating_mul(1000) / self.took_ms.max(1);
        writeln!(
            f,
            "{} requests sent, {} answered, {} lost in {} ms ({rate}/s)",
            self.sent,
            self.ok,
            self.failed(),
            self.took_ms
        )?;
        writeln!(f, "{} connections", self.connections)?;
        writeln!(f, "latency p50 {p50_us} µs, p99 {p99_us} µs, p99.9 {p999_us} µs, max {max_us} µs")?;
        for (failure, count) in &self.failures {
            writeln!(f, "  {failure:<20} {count}")?;
        }
        for example in &self.examples {
            writeln!(f, "  {example}")?;
        }
        for answers in &self.answers {
            writeln!(f, "  {answers}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} ms: {} after {} answers", self.at_ms, self.failure, self.answered)?;
        match self.last_pid {
            Some(pid) => write!(f, ", the last from pid {pid}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => write!(f, "worker {instance}")?,
            None => write!(f, "worker ?")?,
        }
        write!(f, ", pid {}, release {}: {} answers", self.pid, self.release, self.count)
    }
}
