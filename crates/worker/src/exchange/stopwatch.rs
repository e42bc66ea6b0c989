//! Measures for how long in total a condition has been true.

use std::time::Duration;

use tokio::time::Instant;

/// Runs while it has been started more often than stopped.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    starts: usize,
    since: Option<Instant>,
    before: Duration,
}

impl Stopwatch {
    pub(super) fn start(&mut self) {
        self.starts += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Call it once for each start.
    pub(super) fn stop(&mut self) {
        self.starts -= 1;
        if self.starts == 0 {
            self.before = self.elapsed();
            self.since = None;
        }
    }

    /// For how long it has run until now.
    pub(super) fn elapsed(&self) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}
