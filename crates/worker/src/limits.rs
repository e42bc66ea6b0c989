//! How long a worker waits for a client, and how much it accepts from one.

use std::time::Duration;

/// The longest wait. The clock does not go much further: adding more to an instant panics.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The limits on clients. All are set with [`Worker`](crate::Worker), which documents each.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// From accept to the first byte.
    pub(crate) first_byte: Duration,
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// From a response to the next request.
    pub(crate) idle: Duration,
    /// Between two pieces of a request's body.
    pub(crate) body: Duration,
    /// Between two pieces of a response that the kernel takes.
    pub(crate) write: Duration,
    /// In bytes.
    pub(crate) max_head: usize,
    /// In bytes.
    pub(crate) max_body: Option<u64>,
    /// On one HTTP/2 connection at once.
    pub(crate) max_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            // nginx and HAProxy keep idle connections to a server for 60 s. They should close first.
            idle: Duration::from_secs(75),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            max_head: 64 * 1024,
            max_body: None,
            // The minimum that RFC 9113 §6.5.2 recommends, so that clients can send many requests in
            // parallel.
            max_streams: 100,
        }
    }
}

/// What a client did not do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Nothing came on a new connection.
    FirstByte,
    /// A head began and did not end.
    Head,
    /// No further request came.
    Idle,
    /// No further request came in the linger time of a drain.
    Lingered,
    /// The client does not read a response.
    Write,
    /// The client has ended its half, and has not got its response.
    End,
}
