//! What a worker has counted on the scoreboard, as the bus carries it.

use serde::{Deserialize, Serialize};

use crate::dictionary::dictionary;

/// What the main process of a worker has counted since it started. A worker can write any figure, so do not
/// rely on the figures being consistent with each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The instance number: 3 for `worker@3.service`.
    pub instance: u32,
    /// The id of the process that counts.
    pub pid: u32,
    /// The release that the process claims to run, without control characters.
    pub release: String,
    /// When the process began to count, in microseconds since the Unix epoch.
    pub since_usec: u64,
    /// When the process became ready, in microseconds since the Unix epoch. 0 if it is not ready yet.
    pub ready_since_usec: u64,
    /// When the process began to drain, in microseconds since the Unix epoch. 0 if it does not drain.
    pub drain_begun_usec: u64,
    /// Connections accepted.
    pub accepts: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections that the worker closed at once, and WebSockets over HTTP/2 that it refused, because there
    /// were too many.
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
    /// Handlers that panicked.
    pub panics: u64,
    /// How often the worker gave up waiting for a client.
    pub timeouts: Timeouts,
    /// How connections ended during the drain.
    pub drained: Drained,
    /// How long the answered requests took.
    pub latency: Latency,
}

dictionary!(Counters {
    instance,
    pid,
    release,
    since_usec,
    ready_since_usec,
    drain_begun_usec,
    accepts,
    connections,
    refused,
    requests,
    in_flight,
    unanswered,
    responses,
    received_bytes,
    sent_bytes,
    panics,
    timeouts,
    drained,
    latency,
});

/// Responses, by the class of their status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// 500 to 599, and every number that is not a status.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

dictionary!(Responses {
    informational as "1xx",
    successful as "2xx",
    redirection as "3xx",
    client_error as "4xx",
    server_error as "5xx",
});

impl Responses {
    /// The sum of all classes.
    pub fn sum(&self) -> u64 {
        let Self { informational, successful, redirection, client_error, server_error } = *self;
        let classes = [informational, successful, redirection, client_error, server_error];
        classes.into_iter().fold(0, u64::saturating_add)
    }
}

/// How often the worker gave up waiting for a client, by what it waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// The first byte of a new connection.
    pub first_byte: u64,
    /// The rest of a request's head.
    pub head: u64,
    /// The next request.
    pub idle: u64,
    /// The next bytes of a request's body.
    pub body: u64,
    /// The client reading what the worker sends.
    pub write: u64,
}

dictionary!(Timeouts { first_byte, head, idle, body, write });

/// How many connections ended during the drain, by the way they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// They ended with their last response, or the client closed them.
    pub finished: u64,
    /// No request arrived while they lingered.
    pub idle: u64,
    /// The worker closed them at the drain deadline.
    pub forced: u64,
}

dictionary!(Drained { finished, idle, forced });

/// How long the answered requests took, in microseconds.
///
/// A percentile is never below the true value, and at most an eighth above it. It is capped at 5 min 2 s.
/// Every field is 0 if no request was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// The exact sum over all answered requests.
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

dictionary!(Latency { sum_usec, p50_usec, p90_usec, p99_usec, p999_usec });
