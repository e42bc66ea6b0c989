//! What the workers say of themselves on the scoreboard.

use scoreboard::{DEFAULT_PATH, Reader};

use crate::Cluster;

impl Cluster {
    /// How many connections the worker with the most of them has just now, those included that are being closed.
    ///
    /// # Panics
    /// When there is no board.
    #[track_caller]
    #[must_use]
    pub fn most_connections(&self) -> u64 {
        let path = format!("/proc/{}/root{DEFAULT_PATH}", self.leader());
        let slots = Reader::open(path).and_then(|board| board.all()).expect("the workers have a board");
        slots.iter().map(|slot| slot.record.counters.connections).max().unwrap_or(0)
    }
}
