//! What a worker has counted on the scoreboard, as it crosses the bus.

use serde::{Deserialize, Serialize};
use zbus::Type;

/// What the main process of a worker has counted since it began. Workers count for themselves, and none of the figures
/// can be relied upon to fit to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Counters {
    /// The instance number: 3 for `worker@3.service`.
    pub instance: u32,
    /// The process that counts.
    pub pid: u32,
    /// The release that it says it runs, without control characters.
    pub release: String,
    /// When it began to count, in microseconds since the Unix epoch.
    pub since_usec: u64,
    /// When it became ready, in microseconds since the Unix epoch; 0 when it has not.
    pub ready_since_usec: u64,
    /// When its drain began, in microseconds since the Unix epoch; 0 when it has not.
    pub drain_begun_usec: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections closed at once, and WebSockets over HTTP/2 refused, because there were too many.
    pub refused: u64,
    /// Requests begun.
    pub requests: u64,
    /// Requests in flight now.
    pub in_flight: u64,
    /// Requests that ended without a response.
    pub unanswered: u64,
    /// Responses, by the class of their status.
    pub responses: Responses,
    /// Bytes received on connections.
    pub received_bytes: u64,
    /// Bytes sent on connections.
    pub sent_bytes: u64,
    /// Panics of handlers.
    pub panics: u64,
    /// How often a client was waited for too long.
    pub timeouts: Timeouts,
    /// How connections ended in the drain.
    pub drained: Drained,
    /// How long the requests took that were answered.
    pub latency: Latency,
}

/// Responses, by the class of their status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Responses {
    /// 100 to 199.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    pub successful: u64,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 500 to 599, and what is no status at all.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

impl Responses {
    /// All of them.
    pub fn sum(&self) -> u64 {
        let Self { informational, successful, redirection, client_error, server_error } = *self;
        let classes = [informational, successful, redirection, client_error, server_error];
        classes.into_iter().fold(0, u64::saturating_add)
    }
}

/// How often a client was waited for too long, by what it was waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Timeouts {
    /// The first byte of a new connection.
    pub first_byte: u64,
    /// The rest of a request's head.
    pub head: u64,
    /// The next request.
    pub idle: u64,
    /// The next bytes of a request's body.
    pub body: u64,
    /// The client's taking what is sent.
    pub write: u64,
}

/// How many connections ended in the drain, by how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Drained {
    /// With their last response, or by the client.
    pub finished: u64,
    /// No request came while they lingered.
    pub idle: u64,
    /// Cut at the drain deadline.
    pub forced: u64,
}

/// How long the requests took that were answered, in microseconds: never less than the truth, and at most an eighth
/// more. From 5 min 2 s on it is 5 min 2 s. All are 0 when none was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Latency {
    /// All of them together, exactly.
    pub sum_usec: u64,
    /// Half of the requests took no longer.
    pub p50_usec: u64,
    /// 90 of 100 took no longer.
    pub p90_usec: u64,
    /// 99 of 100 took no longer.
    pub p99_usec: u64,
    /// 999 of 1000 took no longer.
    pub p999_usec: u64,
}
