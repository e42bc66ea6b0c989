//! A fixed rate: it tells when each request is due, to a few microseconds.
//!
//! tokio's own timers have millisecond resolution. A request that is due in between would be sent late, and
//! the server would get the blame. So a separate thread sleeps until the next turn.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The turns of all lanes, one after another, evenly spread.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    per_second: f64,
    lanes: Vec<Notify>,
}

impl Pace {
    /// Starts now, with turn 0.
    pub(crate) fn start(per_second: f64, lanes: usize) -> Arc<Self> {
        let lanes = std::iter::repeat_with(Notify::new).take(lanes).collect();
        let pace = Arc::new(Self { began: Instant::now(), per_second, lanes });
        let beaten = Arc::downgrade(&pace);
        thread::spawn(move || beat(&beaten));
        pace
    }

    /// When this turn is due. Lane `n` has the turns `n`, `n` + lanes, `n` + 2 lanes, …
    pub(crate) fn due(&self, turn: usize) -> Instant {
        self.began + Duration::from_secs_f64(turn as f64 / self.per_second)
    }

    /// Waits until this turn is due.
    pub(crate) async fn turn(&self, turn: usize) {
        // A lane that was busy at an earlier turn gets that wake-up now.
        while Instant::now() < self.due(turn) {
            self.lane(turn).notified().await;
        }
    }

    fn lane(&self, turn: usize) -> &Notify {
        &self.lanes[turn % self.lanes.len()]
    }
}

/// Wakes every lane at its turn, as long as a lane exists.
fn beat(beaten: &Weak<Pace>) {
    for turn in 0.. {
        let Some(due) = beaten.upgrade().map(|pace| pace.due(turn)) else { return };
        sleep(due.saturating_duration_since(Instant::now()));
        let Some(pace) = beaten.upgrade() else { return };
        pace.lane(turn).notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "what is waited for is a moment")]
fn sleep(duration: Duration) {
    thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How late each of 300 turns is.
    async fn late(pace: &Pace, lane: usize, lanes: usize) -> Vec<Duration> {
        let mut late = Vec::new();
        for turn in (lane..300).step_by(lanes) {
            pace.turn(turn).await;
            assert!(Instant::now() >= pace.due(turn), "too early");
            late.push(pace.due(turn).elapsed());
        }
        late
    }

    #[tokio::test]
    async fn turns_are_told_when_they_are_due() {
        let pace = Pace::start(1500.0, 2);
        let (mut one, two) = tokio::join!(late(&pace, 0, 2), late(&pace, 1, 2));
        one.extend(two);
        assert_eq!(one.len(), 300);
        // A busy machine is late often, but a millisecond timer nearly always.
        let close = one.iter().filter(|late| **late < Duration::from_micros(300)).count();
        assert!(close > 100, "{one:?}");
    }

    #[tokio::test]
    async fn who_is_late_does_not_wait() {
        let pace = Pace::start(1000.0, 1);
        tokio::time::sleep_until(pace.due(50)).await;
        let begun = Instant::now();
        for turn in 0..=50 {
            pace.turn(turn).await;
        }
        assert!(begun.elapsed() < Duration::from_millis(40));
        pace.turn(60).await;
        assert!(Instant::now() >= pace.due(60));
    }
}
