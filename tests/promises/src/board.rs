//! The workers' own figures on the scoreboard.

use scoreboard::{DEFAULT_PATH, Reader};

use crate::Cluster;

impl Cluster {
    /// The number of connections of the worker that has the most now, including those that are being closed.
    ///
    /// # Panics
    /// If there is no scoreboard.
    #[track_caller]
    #[must_use]
    pub fn most_connections(&self) -> u64 {
        let path = format!("/proc/{}/root{DEFAULT_PATH}", self.leader());
        let slots = Reader::open(path).and_then(|board| board.all()).expect("the workers have a scoreboard");
        slots.iter().map(|slot| slot.record.counters.connections).max().unwrap_or(0)
    }
}
