//! Kinds of what is counted by kind.

/// How a connection ended in the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With its last response, or by the client.
    Finished = 0,
    /// No request came while it lingered.
    Idle = 1,
    /// Cut at the drain deadline.
    Forced = 2,
}

impl Ended {
    /// All of them, in the order of [`Counters::ended`](crate::Counters::ended).
    pub const ALL: [Self; 3] = [Self::Finished, Self::Idle, Self::Forced];
}

/// What a connection was waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// The first byte of a new connection.
    FirstByte = 0,
    /// The rest of a request's head.
    Head = 1,
    /// The next request.
    Idle = 2,
    /// The next bytes of a request's body.
    Body = 3,
    /// The client's taking what is sent.
    Write = 4,
}

impl Timeout {
    /// All of them, in the order of [`Counters::timeouts`](crate::Counters::timeouts).
    pub const ALL: [Self; 5] = [Self::FirstByte, Self::Head, Self::Idle, Self::Body, Self::Write];
}
