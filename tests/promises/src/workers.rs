//! Workers as systemd sees them.

use std::collections::{BTreeMap, HashMap};

use machine::wait_for;

use crate::{Cluster, DEADLINE};

/// How many workers a test's cluster has.
pub(crate) const WORKERS: u32 = 4;

/// systemd's properties of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The instance number: 3 for `worker@3.service`.
    pub instance: u32,
    /// `ActiveState`.
    pub active: String,
    /// `SubState`.
    pub sub: String,
    /// The pid of the main process in the machine, 0 if there is none.
    pub pid: u32,
    /// `InvocationID`.
    pub invocation: String,
    /// How often systemd has restarted it by itself.
    pub restarts: u32,
    /// When its process started, in microseconds of the monotonic clock.
    pub started_usec: u64,
    /// When the previous process ended, in microseconds of the monotonic clock.
    pub stopped_usec: u64,
    /// When it became ready, in microseconds of the monotonic clock.
    pub ready_usec: u64,
}

impl Worker {
    /// The properties that [`Worker::read_all`] needs, as `systemctl show` expects them.
    pub(crate) const PROPERTIES: &str = "--property=Id,ActiveState,SubState,MainPID,InvocationID,NRestarts,\
         ExecMainStartTimestampMonotonic,InactiveEnterTimestampMonotonic,ActiveEnterTimestampMonotonic";

    /// Whether it is ready and has a process.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.active == "active" && self.sub == "running" && self.pid != 0
    }

    /// Parses the output of `systemctl show`: a block of `NAME=value` lines for each unit.
    pub(crate) fn read_all(text: &str) -> Vec<Self> {
        text.split("\n\n").filter_map(Self::read).collect()
    }

    fn read(block: &str) -> Option<Self> {
        let values: HashMap<_, _> = block.lines().filter_map(|line| line.split_once('=')).collect();
        let text = |name| values.get(name).copied().unwrap_or_default().to_owned();
        let number = |name| values.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let id = values.get("Id")?.strip_prefix("worker@")?.strip_suffix(".service")?;
        Some(Self {
            instance: id.parse().ok()?,
            active: text("ActiveState"),
            sub: text("SubState"),
            pid: text("MainPID").parse().unwrap_or(0),
            invocation: text("InvocationID"),
            restarts: text("NRestarts").parse().unwrap_or(0),
            started_usec: number("ExecMainStartTimestampMonotonic"),
            stopped_usec: number("InactiveEnterTimestampMonotonic"),
            ready_usec: number("ActiveEnterTimestampMonotonic"),
        })
    }
}

impl Cluster {
    /// systemd's properties of the workers 1 to 4.
    #[track_caller]
    #[must_use]
    pub fn workers(&self) -> Vec<Worker> {
        let units: Vec<_> = (1..=WORKERS).map(unit).collect();
        let words = ["show", Worker::PROPERTIES].into_iter().chain(units.iter().map(String::as_str));
        Worker::read_all(self.systemctl(words).stdout())
    }

    /// systemd's properties of every worker that it has in memory: all that run, and others.
    ///
    /// # Errors
    /// If systemctl fails, with all of its output.
    pub fn loaded_workers(&self) -> Result<Vec<Worker>, String> {
        let output = self.systemctl(["show", Worker::PROPERTIES, "worker@*.service"]);
        if output.status().success() {
            Ok(Worker::read_all(output.any_stdout()))
        } else {
            Err(output.to_string())
        }
    }

    /// systemd's properties of one worker.
    #[track_caller]
    #[must_use]
    pub fn worker(&self, instance: u32) -> Worker {
        let output = self.systemctl(["show", Worker::PROPERTIES, &unit(instance)]);
        Worker::read_all(output.stdout()).pop().expect("systemctl shows the unit it is asked for")
    }

    /// The pid of each worker. All four must be ready.
    ///
    /// # Panics
    /// If that does not hold.
    #[track_caller]
    #[must_use]
    pub fn pids(&self) -> BTreeMap<u32, u32> {
        match whole(self.workers()) {
            Ok(pids) => pids,
            Err(state) => panic!("not all workers are ready: {state}"),
        }
    }

    /// Waits until all four workers are ready. Returns the pid of each.
    #[track_caller]
    pub fn until_whole(&self) -> BTreeMap<u32, u32> {
        wait_for("four workers that are ready", DEADLINE, || whole(self.workers()))
    }

    /// Asserts that all four workers are ready, and that each has a new process.
    ///
    /// # Panics
    /// If one still has its old process.
    #[track_caller]
    pub fn assert_all_replaced(&self, before: &BTreeMap<u32, u32>) {
        let after = self.pids();
        for (instance, pid) in before {
            assert_ne!(after[instance], *pid, "worker@{instance} still has its old process");
        }
    }

    /// Waits until a rollout has replaced one of the workers 1 to 4. `before` has their old pids.
    #[track_caller]
    pub fn until_one_is_replaced(&self, before: &BTreeMap<u32, u32>) {
        wait_for("a worker that is replaced", DEADLINE, || {
            let workers = self.workers();
            let is_new = |worker: &Worker| worker.is_ready() && worker.pid != before[&worker.instance];
            if workers.iter().any(is_new) { Ok(()) } else { Err(states(&workers)) }
        });
    }

    /// How many connections from the shared socket a process has.
    #[track_caller]
    #[must_use]
    pub fn connections_of(&self, pid: u32) -> u64 {
        let sockets = self.run(["ss", "-Htnp", "state", "established", "sport", "=", ":8080"]);
        let owner = format!("pid={pid},");
        sockets.stdout().lines().filter(|line| line.contains(&owner)).count() as u64
    }

    /// Waits until the condition `what` holds for a worker.
    #[track_caller]
    pub fn until_worker(&self, instance: u32, what: &str, holds: impl Fn(&Worker) -> bool) -> Worker {
        let what = format!("worker@{instance} {what}");
        wait_for(&what, DEADLINE, || {
            Some(self.worker(instance)).filter(&holds).ok_or_else(|| states(&self.workers()))
        })
    }
}

/// The name of a worker's unit.
fn unit(instance: u32) -> String {
    format!("worker@{instance}.service")
}

fn whole(workers: Vec<Worker>) -> Result<BTreeMap<u32, u32>, String> {
    if workers.len() == WORKERS as usize && workers.iter().all(Worker::is_ready) {
        return Ok(workers.iter().map(|worker| (worker.instance, worker.pid)).collect());
    }
    Err(states(&workers))
}

/// The workers in one line, for an error message.
fn states(workers: &[Worker]) -> String {
    let state = |worker: &Worker| {
        format!("{} is {} ({}), pid {}", unit(worker.instance), worker.active, worker.sub, worker.pid)
    };
    workers.iter().map(state).collect::<Vec<_>>().join("; ")
}
