//! What a connection waits for, and for how long. Each phase has a timer, also in a drain.
//!
//! | state of the connection | waits for | in service | in a drain |
//! |---|---|---|---|
//! | new and silent | the first byte | `first_byte_timeout` | the linger time |
//! | idle | the first byte of the next request (empty lines do not count) | `idle_timeout` | the linger time |
//! | a head has begun | its last byte | `head_timeout` | the linger time and [`FAREWELL`] |
//! | a request has arrived | the handler, which has its own time | – | the drain deadline |
//! | the handler wants a piece of the body | that piece ([`Upload`]) | `body_timeout` | the same |
//! | answered before the end of the body | a little of the rest ([`Rest`]) | half a second | the same |
//! | the client has ended its half, the handler wants a piece of the body | – | [`GRACE`] | the same |
//! | the client has ended its half and waits for the response | that the worker begins, or continues | `write_timeout` | the same |
//! | the client reads none of its responses | room in the kernel's buffer, or in the window of HTTP/2 | `write_timeout` | [`STALL`], but at least the linger time and [`FAREWELL`] |
//! | HTTP/2, told to go, without a request | that the client reads the rest, and goes | [`STALL`] | the same as before |
//! | the last response is sent | the client's end ([`HalfClosed`]) | 5 s of silence, 30 s if it still sends | a second |
//! | a WebSocket | the application | – | what [`Goodbye`] takes |
//! | HTTP/2 with WebSockets | their applications; the client has `write_timeout` to read a piece | – | what [`Goodbye`] takes, and a second |
//! | another protocol | the application | – | the drain deadline |
//!
//! [`Upload`]: crate::upload::Upload
//! [`Rest`]: crate::upload::Rest
//! [`HalfClosed`]: crate::half_closed::HalfClosed
//! [`Goodbye`]: crate::websocket::Goodbye

use std::time::Duration;

use tokio::time::Instant;

use super::{End, State};
use crate::limits::{Limits, Overdue};

/// How long a client may take, after the linger time, to complete a head that it has begun.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);
/// A client may read nothing for at least this long, also in a drain. The network may have paused.
pub(super) const STALL: Duration = Duration::from_secs(4);
/// How long hyper may take to hand over the last piece of a body after the client has ended its half.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// While it is the worker's turn, the timer fires to look again. It does so at most this often.
const LOOK: Duration = Duration::from_secs(1);

/// What the client has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    FirstByte,
    /// A head has begun, or hyper has not read yet what has arrived. In the second case nothing is awaited.
    Head,
    RestOfHead,
    /// A request has arrived, and it is the worker's turn.
    Nothing,
    NextRequest,
}

/// No further request is wanted on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    pub(super) since: Instant,
    /// How long it may be idle.
    pub(super) linger: Duration,
}

impl State {
    /// What has to happen next and until when. While it is the worker's turn, only the time at which to look
    /// again.
    pub(super) fn deadline(&self, limits: &Limits) -> (Option<Overdue>, Instant) {
        let (what, since, at) = match self.waits(limits) {
            Some((what, since, time)) => (what, since, since + time),
            None => return (None, Instant::now() + limits.idle.max(LOOK)),
        };
        let Some(leave) = self.leave else { return (Some(what), at) };
        let lingered = since.max(leave.since) + leave.linger;
        let farewell = leave.since + leave.linger + FAREWELL;
        match what {
            // The client does not know yet, or ignores, that it should go. Or it has not read all responses.
            Overdue::FirstByte | Overdue::Idle if self.is_multiplexed => {
                (Some(Overdue::Lingered), farewell.max(since + STALL))
            }
            Overdue::FirstByte | Overdue::Idle => (Some(Overdue::Lingered), at.min(lingered)),
            Overdue::Head => (Some(what), at.min(farewell.max(since + FAREWELL))),
            Overdue::Write => (Some(what), at.min(farewell.max(since + STALL))),
            Overdue::Lingered | Overdue::End => (Some(what), at),
        }
    }

    /// What the client has to do, since when, and how long it may take outside a drain.
    fn waits(&self, limits: &Limits) -> Option<(Overdue, Instant, Duration)> {
        if let Some(since) = self.stuck_since {
            return Some((Overdue::Write, since, limits.write));
        }
        // While any request is unanswered or the connection carries a WebSocket, it is the worker's turn.
        if self.inner == 0
            && self.untaken.len() == self.open
            && let Some(since) = self.untaken.values().max()
        {
            return Some((Overdue::Write, self.taken.max(*since), limits.write));
        }
        match (self.awaited, self.end) {
            (Awaited::FirstByte, _) => Some((Overdue::FirstByte, self.since, limits.first_byte)),
            (Awaited::RestOfHead, _) => Some((Overdue::Head, self.since, limits.head)),
            // The carried connection has timers of its own.
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
