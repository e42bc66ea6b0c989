//! The figures that workers have counted on the scoreboard. The orchestrator reads them only for a rollout or
//! for a client.
//!
//! A slot outlives the process that counted on it, and any program of the workers' user can write to it. So
//! the orchestrator uses a slot only if it names a living process that systemd knows as the worker's main
//! process.

mod counts;
mod told;

use std::collections::BTreeMap;
use std::path::Path;

use cluster::numbers::{Compared, Figures};
use names::Instance;
use scoreboard::{Counters, Histogram, Reader, Record};

pub(crate) use counts::Counts;
pub(crate) use told::counters;

/// The figures of workers at one moment. A worker that does not count, or has begun to drain, is missing.
#[derive(Debug)]
struct Reading(BTreeMap<Instance, Record>);

impl Reading {
    /// Reads the figures of these workers, each with the id of its main process.
    fn of(path: &Path, workers: &[(Instance, u32)]) -> anyhow::Result<Self> {
        let reader = Reader::open(path)?;
        let mut records = BTreeMap::new();
        for &(worker, pid) in workers {
            let serving = record_of(&reader, worker, pid)?.filter(|record| record.drain_begun.is_none());
            records.extend(serving.map(|record| (worker, record)));
        }
        Ok(Self(records))
    }

    /// Compares the responses of `new` with those of the other workers since an earlier reading. Only workers
    /// that are still the same process count. The error says why there is nothing to compare.
    fn compare(&self, earlier: &Self, new: Instance) -> Result<Compared, String> {
        let (mut of_new, mut of_old) = (Answered::default(), Answered::default());
        for (instance, record) in &self.0 {
            let Some(before) = earlier.0.get(instance).filter(|before| before.identity == record.identity)
            else {
                continue;
            };
            let answered = if *instance == new { &mut of_new } else { &mut of_old };
            answered.add(&record.counters, &before.counters);
        }
        let new = of_new.figures().ok_or("it does not count on the scoreboard")?;
        let old = of_old.figures().ok_or("there is no old worker that counts on the scoreboard")?;
        Ok(Compared { new, old })
    }
}

/// The figures of this process, if it is alive and is the worker's.
fn record_of(reader: &Reader, worker: Instance, pid: u32) -> Result<Option<Record>, scoreboard::Error> {
    // This never fails: the board has room for more workers than a cluster may have.
    let Some(instance) = scoreboard::Instance::new(worker.number()) else { return Ok(None) };
    let snapshot = reader.read(instance)?;
    Ok(snapshot.filter(|it| it.is_alive && it.record.identity.pid == pid).map(|it| it.record))
}

/// The sum of the responses of several workers.
#[derive(Default)]
struct Answered {
    workers: u32,
    errors: u64,
    others: u64,
    latency: Histogram,
}

impl Answered {
    /// Adds the responses of a process between two readings.
    fn add(&mut self, now: &Counters, before: &Counters) {
        self.workers += 1;
        for (class, (now, before)) in now.responses.iter().zip(before.responses).enumerate() {
            // The last class is 5xx.
            let sum = if class == 4 { &mut self.errors } else { &mut self.others };
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        self.latency.merge(&now.latency.since(&before.latency));
    }

    /// The sum of the responses. `None` if no worker was added.
    fn figures(&self) -> Option<Figures> {
        let Self { errors, others, .. } = *self;
        (self.workers > 0).then(|| Figures { errors, others, p99: self.latency.quantile(0.99) })
    }
}

#[cfg(test)]
mod tests;
