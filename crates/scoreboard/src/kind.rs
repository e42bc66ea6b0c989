//! The kinds of ends and of timeouts, which are counted separately.

/// How a connection ended during the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ended with its last response, or the client closed it.
    Finished = 0,
    /// No request arrived while it lingered.
    Idle = 1,
    /// The worker closed it at the drain deadline.
    Forced = 2,
}

impl Ended {
    /// All kinds, in the order of [`Counters::ended`](crate::Counters::ended).
    pub const ALL: [Self; 3] = [Self::Finished, Self::Idle, Self::Forced];
}

/// What the worker waited for too long on a connection.
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
    /// The client reading what the worker sends.
    Write = 4,
}

impl Timeout {
    /// All kinds, in the order of [`Counters::timeouts`](crate::Counters::timeouts).
    pub const ALL: [Self; 5] = [Self::FirstByte, Self::Head, Self::Idle, Self::Body, Self::Write];
}
