//! What a connection is doing: a request and its answer, or nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Request, Uri};
use tokio::sync::Notify;

use crate::Draining;

/// The request and answer that a connection is busy with.
///
/// ```text
///        begin                 answered                flushed
/// idle ---------> answering ------------> answered --------------> idle
/// ```
/// A connection counts as busy until the kernel has the last byte of the answer, not just until
/// the answer exists: a slow reader may leave much of it in the worker.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    answered: bool,
    begun: u64,
}

/// A request in progress.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) since: Instant,
}

impl Exchange {
    /// The head of a request has been read.
    pub(crate) fn begin<B>(&self, request: &Request<B>) {
        let mut state = self.state();
        state.current = Some(Current {
            method: request.method().clone(),
            uri: request.uri().clone(),
            since: Instant::now(),
        });
        state.answered = false;
        state.begun += 1;
    }

    /// The answer has been handed over, to its last byte.
    pub(crate) fn answered(&self) {
        self.state().answered = true;
    }

    /// Everything handed over so far has been passed to the kernel.
    pub(crate) fn flushed(&self) {
        let mut state = self.state();
        if state.answered && state.current.take().is_some() {
            drop(state);
            self.idle.notify_waiters();
        }
    }

    /// The request in progress, if there is one.
    pub(crate) fn current(&self) -> Option<Current> {
        self.state().current.clone()
    }

    /// How many requests have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// Waits until the worker drains and the connection then has been idle for `linger`.
    ///
    /// The time starts anew after an answer: one that began before the drain could not say
    /// `Connection: close`, so its client may send another request.
    pub(crate) async fn lingered(&self, draining: &Draining, linger: Duration) {
        draining.begun().await;
        loop {
            self.until_idle().await;
            let begun = self.begun();
            tokio::time::sleep(linger).await;
            let state = self.state();
            if state.current.is_none() && state.begun == begun {
                return;
            }
        }
    }

    async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.state().current.is_none() {
                return;
            }
            idle.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LINGER: Duration = Duration::from_secs(2);

    fn request() -> Request<()> {
        Request::new(())
    }

    /// Waits for the end of the linger time in a task of its own; returns how long it took.
    fn linger(exchange: &Arc<Exchange>, draining: &Draining) -> tokio::task::JoinHandle<Duration> {
        let (exchange, draining) = (Arc::clone(exchange), draining.clone());
        tokio::spawn(async move {
            let start = tokio::time::Instant::now();
            exchange.lingered(&draining, LINGER).await;
            start.elapsed()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_lingers_from_the_beginning_of_the_drain() {
        let (exchange, draining) = (Arc::new(Exchange::default()), Draining::default());
        let lingered = linger(&exchange, &draining);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(!lingered.is_finished());
        draining.begin();
        assert_eq!(lingered.await.unwrap(), Duration::from_secs(102));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_lingers_from_its_last_byte() {
        let (exchange, draining) = (Arc::new(Exchange::default()), Draining::default());
        exchange.begin(&request());
        draining.begin();
        let lingered = linger(&exchange, &draining);
        tokio::time::sleep(Duration::from_secs(10)).await;
        exchange.flushed();
        assert!(exchange.current().is_some(), "an early flush is not the end of the answer");
        exchange.answered();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!lingered.is_finished(), "the kernel does not have the answer yet");
        exchange.flushed();
        assert_eq!(lingered.await.unwrap(), Duration::from_secs(22));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_within_the_linger_time_starts_it_anew() {
        let (exchange, draining) = (Arc::new(Exchange::default()), Draining::default());
        draining.begin();
        let lingered = linger(&exchange, &draining);
        tokio::time::sleep(Duration::from_secs(1)).await;
        exchange.begin(&request());
        exchange.answered();
        exchange.flushed();
        assert_eq!(lingered.await.unwrap(), Duration::from_secs(4));
    }
}
