//! How long a worker waits for a client, and how much it takes from one.

use std::time::Duration;

/// As long as anybody waits. A clock cannot be set much further ahead: adding more to an instant is a panic.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What a client may cost. All of it is set with [`Worker`](crate::Worker), which documents each.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// From accept to the first byte.
    pub(crate) first_byte: Duration,
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// From an answer to the next request.
    pub(crate) idle: Duration,
    /// Between two pieces of a request's body.
    pub(crate) body: Duration,
    /// Between two pieces of an answer that the kernel takes.
    pub(crate) write: Duration,
    /// In bytes.
    pub(crate) max_head: usize,
    /// In bytes.
    pub(crate) max_body: Option<u64>,
    /// Of a connection of HTTP/2 at once.
    pub(crate) max_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            // nginx and HAProxy keep idle connections to a server for 60 s; whoever closes first should be them.
            idle: Duration::from_secs(75),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            max_head: 64 * 1024,
            max_body: None,
            // The least that RFC 9113 §6.5.2 recommends, for clients that want many things at once.
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
    /// None came in the linger time of a drain.
    Lingered,
    /// An answer is not read.
    Write,
    /// The client has ended its half, and has not been answered.
    End,
}
