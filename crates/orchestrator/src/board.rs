//! What workers have counted on the scoreboard. It is read when somebody wants to know, a rollout or a person, and at
//! no other time.
//!
//! A slot outlives the process that counted on it, and whoever runs as the workers' user can write there. So only what
//! a living process says counts, which systemd knows as the worker's main process.

mod told;

use std::collections::BTreeMap;
use std::path::Path;

use rollout::Instance;
use rollout::numbers::{Compared, Figures};
use scoreboard::{Counters, Histogram, Reader, Record};

pub(crate) use told::counters;

/// What workers had counted at one moment; those that do not count, or have begun to drain, are not in it.
#[derive(Debug)]
pub(crate) struct Reading(BTreeMap<Instance, Record>);

impl Reading {
    /// Reads what these workers, whose main processes these are, have counted.
    pub(crate) fn of(path: &Path, workers: &[(Instance, u32)]) -> anyhow::Result<Self> {
        let reader = Reader::open(path)?;
        let mut records = BTreeMap::new();
        for &(worker, pid) in workers {
            let serving = record_of(&reader, worker, pid)?.filter(|record| record.drain_begun.is_none());
            records.extend(serving.map(|record| (worker, record)));
        }
        Ok(Self(records))
    }

    /// What `new` and the others in the reading answered since an earlier one, in the same processes; or why nobody
    /// knows.
    pub(crate) fn compare(&self, earlier: &Self, new: Instance) -> Result<Compared, String> {
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

/// What this process has counted, if it lives and is that worker.
fn record_of(reader: &Reader, worker: Instance, pid: u32) -> Result<Option<Record>, scoreboard::Error> {
    // The board has room for more workers than a cluster may have.
    let Some(instance) = scoreboard::Instance::new(worker.number()) else { return Ok(None) };
    let snapshot = reader.read(instance)?;
    Ok(snapshot.filter(|it| it.is_alive && it.record.identity.pid == pid).map(|it| it.record))
}

/// What was answered by the workers that were added.
#[derive(Default)]
struct Answered {
    workers: u32,
    errors: u64,
    others: u64,
    latency: Histogram,
}

impl Answered {
    /// Adds what a process answered between two readings.
    fn add(&mut self, now: &Counters, before: &Counters) {
        self.workers += 1;
        for (class, (now, before)) in now.responses.iter().zip(before.responses).enumerate() {
            // The last class is that of 5xx.
            let sum = if class == 4 { &mut self.errors } else { &mut self.others };
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
        self.latency.merge(&now.latency.since(&before.latency));
    }

    /// What they answered together; nothing if nobody was added.
    fn figures(&self) -> Option<Figures> {
        let Self { errors, others, .. } = *self;
        (self.workers > 0).then(|| Figures { errors, others, p99: self.latency.quantile(0.99) })
    }
}

#[cfg(test)]
mod tests;
