//! A connection between its last answer and its end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::stream::Stream;

/// How long a peer may take to close its half, and in a drain, what it takes to send.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);
/// How long one that still sends is read: an upload that was answered before its end may go on for a while, until its client
/// looks for the answer.
const MOST: Duration = Duration::from_secs(10);

/// A connection that has been sent everything it will be sent.
#[must_use = "dropped at once it may reset the connection and destroy the last answer"]
#[derive(Debug)]
pub(crate) struct HalfClosed {
    stream: Stream,
    limits: Option<Pin<Box<Limits>>>,
}

pin_project! {
    #[derive(Debug)]
    struct Limits {
        #[pin]
        silence: Sleep,
        #[pin]
        all: Sleep,
    }
}

impl Limits {
    fn begin() -> Self {
        Self { silence: sleep(LIMIT), all: sleep(MOST) }
    }
}

impl HalfClosed {
    /// This stream's sending half has been ended.
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, limits: None }
    }

    /// Reads and discards until the peer has closed as well, has been silent for a second, or has sent for ten. Closing with
    /// unread bytes makes the kernel send a reset, and a reset makes the peer throw away answers
    /// that it has received but not yet read (RFC 9112 §9.6).
    pub(crate) async fn linger(mut self) {
        poll_fn(|context| self.poll_linger(context)).await;
    }

    /// The same, step by step.
    pub(crate) fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut limits = self.limits.get_or_insert_with(|| Box::pin(Limits::begin())).as_mut().project();
        // It is looked at first: a peer that sends without a pause uses up what a task may do at once.
        if limits.all.poll(context).is_ready() {
            return Poll::Ready(());
        }
        while let Poll::Ready(discarded) = self.stream.poll_discard(context) {
            if discarded == 0 {
                return Poll::Ready(());
            }
            limits.silence.as_mut().reset(Instant::now() + LIMIT);
        }
        // Then the peer has had its answer for a second; nothing more can be done for it.
        limits.silence.poll(context)
    }
}
