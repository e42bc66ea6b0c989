//! The end of a worker: connections and tasks are told, requests in progress may finish, and a deadline
//! limits the wait.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::notify;

/// Tells whether the worker has begun to drain. All clones give the same answer.
///
/// It is for handlers that would otherwise hold their connection until the drain deadline: a long poll may
/// answer early. It is also for background tasks: the worker waits for each task that has a [`Hold`].
#[derive(Debug, Clone, Default)]
pub struct Drain {
    begun: CancellationToken,
    holds: TaskTracker,
}

/// Delays the end of a worker until it is dropped or the drain deadline has passed.
#[must_use = "the worker waits only while this is there"]
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "it is there to be dropped")] TaskTrackerToken);

impl Drain {
    /// Whether the drain has begun. A drain never ends: the process exits.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Delays the end of the worker, for work that belongs to no connection: a queue that must be written, a
    /// job that must be handed back. The drain deadline applies here as well.
    pub fn hold(&self) -> Hold {
        Hold(self.holds.token())
    }

    pub(crate) fn begun_owned(&self) -> WaitForCancellationFutureOwned {
        self.begun.clone().cancelled_owned()
    }

    /// Makes the worker drain, as SIGTERM does. This is for tests, and for programs that end for a reason of
    /// their own. In a cluster, systemd then starts the worker again, unless it exits with 78.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Waits until the last connection and the last [`Hold`] are gone, for at most `deadline`. Each second it
    /// tells systemd how many are left. Returns whether all are gone.
    pub(crate) async fn wind_down(&self, connections: &TaskTracker, deadline: Duration) -> bool {
        // Long enough that one late tick does not end the time that the worker asks systemd for.
        const TURN: Duration = Duration::from_secs(1);
        const EXTENSION: Duration = Duration::from_secs(5);

        connections.close();
        self.holds.close();
        let end = Instant::now() + deadline;
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let all_gone = async {
            connections.wait().await;
            self.holds.wait().await;
        };
        tokio::pin!(all_gone);
        loop {
            tokio::select! {
                biased;
                () = &mut all_gone => return true,
                () = tokio::time::sleep_until(end) => return false,
                _ = turn.tick() => notify::draining(connections.len(), self.holds.len(), EXTENSION),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_with_the_last_connection() {
        let connections = TaskTracker::new();
        connections.spawn(tokio::time::sleep(Duration::from_secs(3)));
        connections.spawn(tokio::time::sleep(Duration::from_secs(7)));
        let start = Instant::now();
        assert!(Drain::default().wind_down(&connections, Duration::from_secs(30)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn ends_with_the_last_hold() {
        let drain = Drain::default();
        let hold = drain.hold();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(4)).await;
            drop(hold);
        });
        let start = Instant::now();
        assert!(drain.wind_down(&TaskTracker::new(), Duration::from_secs(30)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_deadline() {
        let connections = TaskTracker::new();
        connections.spawn(std::future::pending::<()>());
        let start = Instant::now();
        assert!(!Drain::default().wind_down(&connections, Duration::from_secs(30)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn ends_at_once_without_connections() {
        assert!(Drain::default().wind_down(&TaskTracker::new(), Duration::from_secs(30)).await);
    }
}
