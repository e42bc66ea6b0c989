//! Gives memory back that a crowd of connections has left.
//!
//! glibc keeps what is freed for the next one. It returns only the end of the heap, where something that lives longer soon
//! lies (mallopt(3), `M_TRIM_THRESHOLD`): after one attack a worker would be as large as in it until it is replaced.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "malloc_trim(3)"))]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// Fewer connections leave nothing that is worth the work.
const LEAST: usize = 16;
/// How often a crowd is looked at. One that comes back within that time finds its memory where it left it.
const PAUSE: Duration = Duration::from_secs(1);

/// How many connections there have been at once.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    most: AtomicUsize,
    gathered: Notify,
}

impl Crowd {
    /// So many connections are open.
    pub(crate) fn counts(&self, open: usize) {
        self.most.fetch_max(open, Ordering::Relaxed);
        if open >= LEAST {
            self.gathered.notify_one();
        }
    }

    /// Whenever half of a crowd has left, gives back what they had. Without a crowd it never wakes up.
    pub(crate) async fn clean_up(&self, connections: &TaskTracker) {
        loop {
            self.gathered.notified().await;
            while self.most.load(Ordering::Relaxed) >= LEAST {
                tokio::time::sleep(PAUSE).await;
                if self.has_dispersed(connections.len()) {
                    give_back();
                }
            }
        }
    }

    /// Whether half of them have left. Those that are still there are the crowd from now on.
    fn has_dispersed(&self, open: usize) -> bool {
        let has_dispersed = open <= self.most.load(Ordering::Relaxed) / 2;
        if has_dispersed {
            self.most.store(open, Ordering::Relaxed);
        }
        has_dispersed
    }
}

/// Costs some 35 ms for each 100 MB that are given back. An application with an allocator of its own loses and gains
/// nothing.
#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: it locks what it looks at, and takes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_dispersed_when_half_have_left() {
        let crowd = Crowd::default();
        for open in 1..=100 {
            crowd.counts(open);
        }
        assert!(!crowd.has_dispersed(51));
        assert!(crowd.has_dispersed(50));
        assert!(!crowd.has_dispersed(26));
        assert!(crowd.has_dispersed(25));
        crowd.counts(30);
        assert!(crowd.has_dispersed(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_connections_wake_nobody() {
        let (crowd, connections) = (Crowd::default(), TaskTracker::new());
        crowd.counts(LEAST - 1);
        let begun = tokio::time::Instant::now();
        let cleaned = tokio::time::timeout(Duration::from_secs(3600), crowd.clean_up(&connections)).await;
        assert!(cleaned.is_err());
        assert_eq!(begun.elapsed(), Duration::from_secs(3600));
        assert_eq!(crowd.most.load(Ordering::Relaxed), LEAST - 1, "it was not looked at");
    }
}
