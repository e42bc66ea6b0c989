//! The figures of an attack.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The figures of an attack. They show that it took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How many connections were established.
    pub connected: u64,
    /// How many connections failed.
    pub not_connected: u64,
    /// How many bytes were sent.
    pub sent: u64,
    /// On how many connections the server sent something.
    pub answered: u64,
    /// How many connections the server closed or reset.
    pub closed: u64,
}

impl Report {
    /// Connections established per second, on average.
    #[must_use]
    pub fn connected_per_second(&self) -> u64 {
        self.connected.saturating_mul(1000) / self.took_ms.max(1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections in {} ms ({}/s), {} more could not be established; {} bytes sent, {} connections answered, \
             {} closed by the server",
            self.connected,
            self.took_ms,
            self.connected_per_second(),
            self.not_connected,
            self.sent,
            self.answered,
            self.closed
        )
    }
}
