//! Time during which this process runs.
//!
//! Ctrl-Z stops the process, but not the clock. After `fg`, every deadline by the clock would be over at once, before
//! the process has read what arrived meanwhile. So time is counted in ticks. A tick in which the process was stopped
//! for an hour counts once.

use std::time::Duration;

use tokio::time::sleep;

const TICK: Duration = Duration::from_secs(1);

/// Returns after this process has run for this time.
pub(crate) async fn running(span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        let tick = left.min(TICK);
        sleep(tick).await;
        left -= tick;
    }
}

/// The result of `work`; none if this process runs for `limit` before there is one.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = running(limit) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_takes_as_long_as_it_says() {
        let begun = Instant::now();
        running(Duration::from_millis(2500)).await;
        let took = begun.elapsed();
        assert!((2500..2520).contains(&took.as_millis()), "{took:?}");
        assert_eq!(within(Duration::from_secs(1), pending::<()>()).await, None);
        assert_eq!(within(Duration::ZERO, async { 7 }).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_in_which_the_process_was_stopped_counts_once() {
        let mut wait = pin!(running(Duration::from_secs(30)));
        assert!(wait.as_mut().now_or_never().is_none());
        advance(Duration::from_secs(3600)).await;
        assert!(wait.as_mut().now_or_never().is_none());
        let begun = Instant::now();
        wait.await;
        assert!(begun.elapsed() >= Duration::from_secs(28), "{:?}", begun.elapsed());
    }
}
