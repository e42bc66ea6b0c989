//! The end of a worker: everybody is told, what runs may finish, a deadline bounds it.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::notify;

/// Tells whether the worker has begun to drain. Clones tell the same.
///
/// For handlers that would otherwise hold their connection until the drain deadline: a long poll
/// may answer early, an event stream may end.
#[derive(Debug, Clone, Default)]
pub struct Draining(CancellationToken);

impl Draining {
    /// Whether the drain has begun. It never ends: a worker that drains goes away.
    pub fn is_draining(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    pub(crate) fn begin(&self) {
        self.0.cancel();
    }
}

/// Waits until the last connection has ended, at most for `deadline`. systemd is told every second
/// how many are left. Returns whether all have ended.
pub(crate) async fn wind_down(connections: &TaskTracker, deadline: Duration) -> bool {
    // Long enough that one late tick does not end the patience that it asks for.
    const TURN: Duration = Duration::from_secs(1);
    const EXTENSION: Duration = Duration::from_secs(5);

    connections.close();
    let end = Instant::now() + deadline;
    let mut turn = tokio::time::interval(TURN);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = connections.wait() => return true,
            () = tokio::time::sleep_until(end) => return false,
            _ = turn.tick() => notify::draining(connections.len(), EXTENSION),
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
        assert!(wind_down(&connections, Duration::from_secs(30)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_deadline() {
        let connections = TaskTracker::new();
        connections.spawn(std::future::pending::<()>());
        let start = Instant::now();
        assert!(!wind_down(&connections, Duration::from_secs(30)).await);
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn ends_at_once_without_connections() {
        assert!(wind_down(&TaskTracker::new(), Duration::from_secs(30)).await);
    }
}
