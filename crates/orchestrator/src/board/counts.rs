//! Keeps the figures from the moment a worker began to settle, until the worker is compared with the old
//! ones.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cluster::numbers::Compared;
use names::Instance;

use super::Reading;

/// The earlier readings, by the worker that settles.
#[derive(Debug)]
pub(crate) struct Counts {
    board: PathBuf,
    /// The reading, or the reason why it failed.
    notes: BTreeMap<Instance, Result<Reading, String>>,
}

impl Counts {
    /// Starts without readings. `board` is the path of the scoreboard.
    pub(crate) fn new(board: PathBuf) -> Self {
        Self { board, notes: BTreeMap::new() }
    }

    /// Reads and keeps the figures of these workers, of which the first one settles. If it already has a
    /// reading, that one stays.
    pub(crate) fn begin(&mut self, workers: &[(Instance, u32)]) {
        let Some(&(settles, _)) = workers.first() else { return };
        if !self.notes.contains_key(&settles) {
            let reading = self.read(workers);
            self.notes.insert(settles, reading);
        }
    }

    /// Compares the first of these workers with the others since the earlier reading. The error says why
    /// there is nothing to compare.
    pub(crate) fn compare(&self, workers: &[(Instance, u32)]) -> Result<Compared, String> {
        let settles = workers.first().map(|(instance, _)| *instance);
        let noted = settles.and_then(|settles| Some((settles, self.notes.get(&settles)?)));
        let (settles, earlier) = noted.ok_or("there is no earlier reading of what it counted")?;
        self.read(workers)?.compare(earlier.as_ref()?, settles)
    }

    /// Drops the reading of this worker.
    pub(crate) fn end(&mut self, settles: Instance) {
        self.notes.remove(&settles);
    }

    fn read(&self, workers: &[(Instance, u32)]) -> Result<Reading, String> {
        Reading::of(&self.board, workers).map_err(|error| format!("{error:#}"))
    }
}
