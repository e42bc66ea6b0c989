//! A connection between its last response and its end.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::Drain;
use crate::stream::Stream;

/// How long a peer may be silent until it closes its half. An upload that was answered early may pause for a
/// while, until its client looks for the response.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a peer that still sends is read.
const MOST: Duration = Duration::from_secs(30);
/// How long either may take in a drain.
const IN_A_DRAIN: Duration = Duration::from_secs(1);

/// A connection on which everything has been sent.
#[must_use = "dropped at once it may reset the connection and destroy the last answer"]
#[derive(Debug)]
pub(crate) struct HalfClosed(Stream);

impl HalfClosed {
    /// The sending half of `stream` is already shut down.
    pub(crate) fn new(stream: Stream) -> Self {
        Self(stream)
    }

    /// Reads and discards until the peer has closed as well, has been silent for 5 s, or has sent for 30 s.
    /// In a drain this takes at most a second. If the worker closed with unread bytes, the kernel would send
    /// a reset. A reset makes the peer discard responses that it has received but not yet read (RFC 9112
    /// §9.6).
    pub(crate) async fn linger(mut self, drain: &Drain) {
        let mut discard = async || timeout(SILENCE, poll_fn(|context| self.0.poll_discard(context))).await;
        let closed = async { while let Ok(1..) = discard().await {} };
        let drained = async {
            drain.begun().await;
            sleep(IN_A_DRAIN).await;
        };
        // By then the peer has had the response for long enough. The worker cannot do more.
        tokio::select! {
            biased;
            () = drained => {}
            _ = timeout(MOST, closed) => {}
        }
    }
}
