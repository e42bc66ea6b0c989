//! What a connection waits for, and for how long. No phase is without a timer, in a drain neither.
//!
//! | the connection | waits for | in service | in a drain |
//! |---|---|---|---|
//! | is new and silent | the first byte | `first_byte_timeout` | the linger time |
//! | is idle | the first byte of the next request; empty lines are none | `idle_timeout` | the linger time |
//! | has begun a head | its last byte | `head_timeout` | the linger time and [`FAREWELL`] |
//! | has asked | the handler, which has its own time | – | the drain deadline |
//! | has asked, and the handler wants a piece of the body | that piece ([`Upload`]) | `body_timeout` | the same |
//! | was answered before the end of its body | a little of the rest ([`Rest`]) | half a second | the same |
//! | has ended its half, and the handler wants a piece of the body | – | [`GRACE`] | the same |
//! | has ended its half and waits for the answer | that the worker begins, or goes on | `write_timeout` | the same |
//! | does not take any of its answers | room in the kernel's buffer, or in the window of HTTP/2 | `write_timeout` | [`STALL`], but at least the linger time and [`FAREWELL`] |
//! | of HTTP/2 was told to go, and has no request | that the client takes what is left, and goes | [`STALL`] | the same as before |
//! | has its last answer | the client's end ([`HalfClosed`]) | 5 s of silence, 30 s of what it still sends | a second |
//! | is a WebSocket | the application | – | what [`Goodbye`] takes |
//! | of HTTP/2 carries WebSockets | their applications; to take a piece of theirs a client has `write_timeout` | – | what [`Goodbye`] takes, and a second |
//! | is another protocol's | the application | – | the drain deadline |
//!
//! [`Upload`]: crate::upload::Upload
//! [`Rest`]: crate::upload::Rest
//! [`HalfClosed`]: crate::half_closed::HalfClosed
//! [`Goodbye`]: crate::websocket::Goodbye

use std::time::Duration;

use tokio::time::Instant;

use super::{End, State};
use crate::limits::{Limits, Overdue};

/// How long a client may take, when the linger time is over, to end the head that it has begun.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);
/// For so long at least a client may take nothing, in a drain too: a pause of the network is no bad will.
pub(super) const STALL: Duration = Duration::from_secs(4);
/// How long hyper may take to hand over the last piece of a body whose client has ended its half.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// While it is the worker's turn, the timer is set to look again, no more often than this.
const LOOK: Duration = Duration::from_secs(1);

/// What the client has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    FirstByte,
    /// The rest of a head that has begun, or nothing: hyper has not read yet what has come.
    Head,
    RestOfHead,
    /// It has asked, and it is the worker's turn.
    Nothing,
    NextRequest,
}

/// No further request is wanted on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    pub(super) since: Instant,
    /// For so long it may be idle.
    pub(super) linger: Duration,
}

impl State {
    /// What has to happen next and until when; while it is the worker's turn, when to look again.
    pub(super) fn deadline(&self, limits: &Limits) -> (Option<Overdue>, Instant) {
        let (what, since, at) = match self.waits(limits) {
            Some((what, since, time)) => (what, since, since + time),
            None => return (None, Instant::now() + limits.idle.max(LOOK)),
        };
        let Some(leave) = self.leave else { return (Some(what), at) };
        let lingered = since.max(leave.since) + leave.linger;
        let farewell = leave.since + leave.linger + FAREWELL;
        match what {
            // It does not know yet, or does not want to know, that it should go; or it has not taken all that was answered.
            Overdue::FirstByte | Overdue::Idle if self.is_multiplexed => {
                (Some(Overdue::Lingered), farewell.max(since + STALL))
            }
            Overdue::FirstByte | Overdue::Idle => (Some(Overdue::Lingered), at.min(lingered)),
            Overdue::Head => (Some(what), at.min(farewell.max(since + FAREWELL))),
            Overdue::Write => (Some(what), at.min(farewell.max(since + STALL))),
            Overdue::Lingered | Overdue::End => (Some(what), at),
        }
    }

    /// What the client has to do, since when, and how long it may take in service.
    fn waits(&self, limits: &Limits) -> Option<(Overdue, Instant, Duration)> {
        if let Some(since) = self.stuck_since {
            return Some((Overdue::Write, since, limits.write));
        }
        // While the worker has to answer anything on this connection, or it carries a WebSocket, it is the worker's turn.
        if self.inner == 0
            && self.untaken.len() == self.open
            && let Some(since) = self.untaken.values().max()
        {
            return Some((Overdue::Write, self.taken.max(*since), limits.write));
        }
        match (self.awaited, self.end) {
            (Awaited::FirstByte, _) => Some((Overdue::FirstByte, self.since, limits.first_byte)),
            (Awaited::RestOfHead, _) => Some((Overdue::Head, self.since, limits.head)),
            // What it carries has timers of its own.
            (Awaited::NextRequest, _) if self.inner > 0 => None,
            (Awaited::NextRequest, _) => {
                let since = if self.is_multiplexed { self.since.max(self.taken) } else { self.since };
                Some((Overdue::Idle, since, limits.idle))
            }
            (Awaited::Nothing, End::Withheld(since)) => {
                let time = if self.is_uploading { GRACE } else { limits.write };
                Some((Overdue::End, since, time))
            }
            (Awaited::Head | Awaited::Nothing, _) => None,
        }
    }
}
