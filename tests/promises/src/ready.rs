//! How many workers are ready, from systemd's own log.

use std::collections::BTreeSet;

use crate::{Cluster, Entry, Worker, monotonic_usec};

// PID 1's messages about a unit, by MESSAGE_ID (systemd's catalog/systemd.catalog.in).
const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";
const STOPPING: &str = "de5b426a63be47a7b6ac3eaac82e2f6f";
const PROCESS_EXITED: &str = "98e322203f7a4ed290d09fe03c09fe15";
const FAILED: &str = "d9b373ed55a64feb8242e02dbe79a49c";

/// An open account of the workers: since when it runs, and which workers were ready then.
#[derive(Debug)]
#[must_use = "it is there to be closed"]
pub struct OpenAccount {
    since_usec: u64,
    ready: BTreeSet<String>,
}

/// PID 1's messages about the workers during a time.
///
/// PID 1 logs `Started` when a unit of `Type=notify` has sent READY=1, and `Stopping` before it sends
/// SIGTERM. One process logs all of these messages, so their order is the order of events. Nothing between
/// two of them is missed.
#[derive(Debug)]
pub struct Account {
    ready: BTreeSet<String>,
    entries: Vec<Entry>,
}

impl Cluster {
    /// Starts an account of the workers.
    #[track_caller]
    pub fn open_account(&self) -> OpenAccount {
        // A message that arrives while the workers are read is counted twice. The second time it changes
        // nothing.
        let since_usec = monotonic_usec();
        let ready = self.workers().into_iter().filter(Worker::is_ready);
        let ready = ready.map(|worker| format!("worker@{}.service", worker.instance)).collect();
        OpenAccount { since_usec, ready }
    }

    /// Returns the messages since then.
    #[track_caller]
    #[must_use]
    pub fn close_account(&self, OpenAccount { since_usec, ready }: OpenAccount) -> Account {
        self.run(["journalctl", "--sync"]).assert_success();
        let entries = Entry::read_all(&self.journal(["-o", "json", "_PID=1"]));
        let is_about_workers = |entry: &Entry| entry.field("UNIT").starts_with("worker@");
        let entries = entries.into_iter().filter(|entry| entry.monotonic_usec() >= since_usec);
        Account { ready, entries: entries.filter(is_about_workers).collect() }
    }
}

impl Account {
    /// The lowest number of workers that were ready at the same time.
    #[must_use]
    pub fn fewest_ready(&self) -> usize {
        self.ready_counts().into_iter().min().unwrap_or_default()
    }

    /// The highest number of workers that were ready at the same time.
    #[must_use]
    pub fn most_ready(&self) -> usize {
        self.ready_counts().into_iter().max().unwrap_or_default()
    }

    /// How many workers were ready at the start and after each message.
    fn ready_counts(&self) -> Vec<usize> {
        let mut ready = self.ready.clone();
        let mut counts = vec![ready.len()];
        for entry in &self.entries {
            let unit = entry.field("UNIT");
            match entry.field("MESSAGE_ID") {
                STARTED => {
                    ready.insert(unit.to_owned());
                }
                STOPPING | PROCESS_EXITED | FAILED => {
                    ready.remove(unit);
                }
                _ => {}
            }
            counts.push(ready.len());
        }
        counts
    }

    /// How often a worker became ready.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.started().count()
    }

    /// How often this worker became ready.
    #[must_use]
    pub fn starts_of(&self, instance: u32) -> usize {
        let unit = format!("worker@{instance}.service");
        self.started().filter(|entry| entry.field("UNIT") == unit).count()
    }

    fn started(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.field("MESSAGE_ID") == STARTED)
    }
}
