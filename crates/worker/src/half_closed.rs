//! A connection between its last answer and its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::stream::Stream;

/// How long a peer may take to close its half.
const LIMIT: Duration = Duration::from_secs(1);

/// A connection that has been sent everything it will be sent.
#[must_use = "dropped at once it may reset the connection and destroy the last answer"]
#[derive(Debug)]
pub(crate) struct HalfClosed {
    stream: Stream,
    limit: Option<Pin<Box<Sleep>>>,
}

impl HalfClosed {
    /// This stream's sending half has been ended.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, limit: None }
    }

    /// Reads and discards until the peer has closed as well, at most for a second. Closing with
    /// unread bytes makes the kernel send a reset, and a reset makes the peer throw away answers
    /// that it has received but not yet read (RFC 9112 §9.6).
    pub(crate) async fn linger(mut self) {
        poll_fn(|context| self.poll_linger(context)).await;
    }

    /// The same, step by step.
    pub(crate) fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // At the time limit the peer has had its answer for a second; nothing more can be done for it. It is looked at first:
        // a peer that sends without a pause uses up what a task may do at once.
        let limit = self.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep(LIMIT)));
        match limit.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.stream.poll_discard(context),
        }
    }
}
