//! A connection between its last answer and its end.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::Drain;
use crate::stream::Stream;

/// How long a peer may be silent until it closes its half. An upload that was answered before its end may stand still for a
/// while, until its client looks for the answer.
const SILENCE: Duration = Duration::from_secs(5);
/// How long one that still sends is read.
const MOST: Duration = Duration::from_secs(30);
/// How long either takes in a drain.
const IN_A_DRAIN: Duration = Duration::from_secs(1);

/// A connection that has been sent everything it will be sent.
#[must_use = "dropped at once it may reset the connection and destroy the last answer"]
#[derive(Debug)]
pub(crate) struct HalfClosed(Stream);

impl HalfClosed {
    /// This stream's sending half has been ended.
    pub(crate) fn new(stream: Stream) -> Self {
        Self(stream)
    }

    /// Reads and discards until the peer has closed as well, has been silent for 5 s, or has sent for 30; in a drain, for a
    /// second. Closing with unread bytes makes the kernel send a reset, and a reset makes the peer throw away answers
    /// that it has received but not yet read (RFC 9112 §9.6).
    pub(crate) async fn linger(mut self, drain: &Drain) {
        let mut discard = async || timeout(SILENCE, poll_fn(|context| self.0.poll_discard(context))).await;
        let closed = async { while let Ok(1..) = discard().await {} };
        let drained = async {
            drain.begun().await;
            sleep(IN_A_DRAIN).await;
        };
        // Then the peer has had its answer for so long; nothing more can be done for it.
        tokio::select! {
            biased;
            () = drained => {}
            _ = timeout(MOST, closed) => {}
        }
    }
}
