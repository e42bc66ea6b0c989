//! Returns memory to the kernel after many connections have ended.
//!
//! glibc keeps freed memory for later use. It returns only the end of the heap, and something that lives
//! longer soon lies there (mallopt(3), `M_TRIM_THRESHOLD`). So after one attack, a worker would stay as large
//! as it was during the attack until it is replaced.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "malloc_trim(3)"))]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// Fewer connections leave too little memory to be worth the work.
const LEAST: usize = 16;
/// How often the number of connections is checked. If the connections come back within that time, their
/// memory is still there.
const PAUSE: Duration = Duration::from_secs(1);

/// The highest number of simultaneous connections.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    most: AtomicUsize,
    gathered: Notify,
}

impl Crowd {
    /// `open` connections are open now.
    pub(crate) fn counts(&self, open: usize) {
        self.most.fetch_max(open, Ordering::Relaxed);
        if open >= LEAST {
            self.gathered.notify_one();
        }
    }

    /// Returns memory each time that half of the connections have ended. With few connections it never wakes
    /// up.
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

    /// Whether half of them have ended. The remaining ones are the new highest number.
    fn has_dispersed(&self, open: usize) -> bool {
        let has_dispersed = open <= self.most.load(Ordering::Relaxed) / 2;
        if has_dispersed {
            self.most.store(open, Ordering::Relaxed);
        }
        has_dispersed
    }
}

/// Costs about 35 ms for each 100 MB that it returns. It has no effect on an application with its own
/// allocator.
#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: malloc_trim locks what it examines, and takes no memory that is in use.
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
