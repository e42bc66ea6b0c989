//! The cluster at one moment, and its rates since an earlier moment.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use api::{Cluster, Counters, Status, Worker};

use super::usage::{Cpu, Usage};
use crate::exit::{Exit, Failure};
use crate::{age, bus};

/// The cluster at one moment.
pub(super) struct Look {
    pub(super) at: SystemTime,
    pub(super) status: Status,
    /// By instance number.
    pub(super) processes: BTreeMap<u32, Process>,
}

/// What is known of a worker's main process in addition to its status.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) usage: Usage,
    /// Its counters, if it counts.
    pub(super) counters: Option<Counters>,
}

impl Look {
    /// The cluster now.
    pub(super) async fn now(cluster: &Cluster) -> Result<Self, Failure> {
        let (status, counters) = tokio::join!(bus::answer(cluster.status()), bus::answer(cluster.counters()));
        let status = status.map_err(|failure| match failure {
            // Every user may ask. A refusal means that the bus has not read the orchestrator's policy.
            Failure { exit: Exit::Refused, message } => Failure::new(Exit::Unreachable, message),
            failure => failure,
        })?;
        // The status is useful even without counters.
        let mut counters: BTreeMap<_, _> =
            counters.unwrap_or_default().into_iter().map(|told| (told.instance, told)).collect();
        let mut process = |worker: &Worker| Process {
            pid: worker.pid,
            usage: Usage::of_process(worker.pid),
            // Between the two answers, another process may have replaced this one.
            counters: counters.remove(&worker.instance).filter(|told| told.pid == worker.pid),
        };
        let processes = status.workers.iter().map(|worker| (worker.instance, process(worker))).collect();
        Ok(Self { at: SystemTime::now(), status, processes })
    }

    /// What is known of this worker's main process.
    pub(super) fn process(&self, worker: &Worker) -> Option<&Process> {
        self.processes.get(&worker.instance)
    }

    /// A worker's requests per second since `earlier`. If its process did not run then, since the process began.
    pub(super) fn requests_per_second(&self, worker: &Worker, earlier: Option<&Self>) -> Option<f64> {
        let now = self.process(worker)?.counters.as_ref()?;
        let before = self.same_process(worker, earlier);
        match before.and_then(|(before, span)| Some((before.counters.as_ref()?, span))) {
            Some((before, span)) => per_second(now.requests.saturating_sub(before.requests) as f64, span),
            None => per_second(now.requests as f64, age::since(now.since_usec, self.at)?),
        }
    }

    /// A worker's share of one processor since `earlier`; 1 is all of it. If its process did not run then, since the
    /// process began.
    pub(super) fn cpu_share(&self, worker: &Worker, earlier: Option<&Self>) -> Option<f64> {
        let Cpu { used, age } = self.process(worker)?.usage.cpu?;
        let before = self.same_process(worker, earlier);
        match before.and_then(|(before, span)| Some((before.usage.cpu?, span))) {
            Some((before, span)) => per_second(used.saturating_sub(before.used).as_secs_f64(), span),
            None => per_second(used.as_secs_f64(), age),
        }
    }

    /// The earlier figures of a worker if it has the same process now, and how long ago they were taken.
    fn same_process<'a>(
        &self,
        worker: &Worker,
        earlier: Option<&'a Self>,
    ) -> Option<(&'a Process, Duration)> {
        let earlier = earlier?;
        let process = earlier.process(worker).filter(|process| process.pid == worker.pid)?;
        Some((process, self.at.duration_since(earlier.at).ok()?))
    }
}

fn per_second(amount: f64, span: Duration) -> Option<f64> {
    (!span.is_zero()).then(|| amount / span.as_secs_f64())
}
