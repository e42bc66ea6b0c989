//! What a connection waits for, and for how long. No phase is without a timer, in a drain neither.
//!
//! | the connection | waits for | in service | in a drain |
//! |---|---|---|---|
//! | is new and silent | the first byte | `first_byte_timeout` | the linger time |
//! | is idle | the first byte of the next request; empty lines are none | `idle_timeout` | the linger time |
//! | has begun a head | its last byte | `head_timeout` | the linger time and [`FAREWELL`] |
//! | has asked | the handler, which has its own time | – | the drain deadline |
//! | has asked, and the handler reads the body | the next piece of it | `body_timeout` ([`Upload`]) | the same |
//! | has ended its half before its body was whole | – | [`GRACE`] | the same |
//! | has ended its half and waits for the answer | that the worker begins, or goes on | `write_timeout` | the same |
//! | does not read its answer | room in the kernel's buffer, or in the window of HTTP/2 | `write_timeout` | [`STALL`], or the linger time and [`FAREWELL`] if that is longer |
//! | has its last answer | the client's end ([`HalfClosed`]) | a second of silence | the same |
//! | of HTTP/2 was told to go | that the client reads what is left, and goes | [`FAREWELL`] | the linger time and [`FAREWELL`] |
//! | is another protocol's | the application | – | the drain deadline |
//!
//! [`Upload`]: crate::upload::Upload
//! [`HalfClosed`]: crate::half_closed::HalfClosed

use std::time::Duration;

use tokio::time::Instant;

use super::{End, State};
use crate::limits::{Limits, Overdue};

/// How long a client may take, when the linger time is over, to end the head that it has begun.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// For so long at least a client may not read, in a drain too: a pause of the network is no bad will.
pub(super) const STALL: Duration = Duration::from_secs(4);
/// Whose half has ended before its body was whole is given up: so long the worker may take to notice that it was whole.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// While it is the worker's turn, a timer is set that nobody waits for: the next deadline may be nearer than this.
const LOOK: Duration = Duration::from_secs(1);

/// What the client has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    FirstByte,
    /// The rest of a head that has begun, or nothing: nobody has looked yet whether that was all.
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
        let farewell = since.max(leave.since + leave.linger) + FAREWELL;
        match what {
            Overdue::FirstByte | Overdue::Idle if self.is_multiplexed => (Some(Overdue::Lingered), farewell),
            Overdue::FirstByte | Overdue::Idle => (Some(Overdue::Lingered), at.min(lingered)),
            Overdue::Head => (Some(what), at.min(farewell)),
            Overdue::Write => {
                let stalled = (since + STALL).max(leave.since + leave.linger + FAREWELL);
                (Some(what), at.min(stalled))
            }
            Overdue::Lingered | Overdue::End => (Some(what), at),
        }
    }

    /// What the client has to do, since when, and how long it may take in service.
    fn waits(&self, limits: &Limits) -> Option<(Overdue, Instant, Duration)> {
        if let Some(since) = self.stuck_since {
            return Some((Overdue::Write, since, limits.write));
        }
        if let Some(since) = self.untaken.values().min() {
            return Some((Overdue::Write, self.taken.max(*since), limits.write));
        }
        match (self.awaited, self.end) {
            (Awaited::FirstByte, _) => Some((Overdue::FirstByte, self.since, limits.first_byte)),
            (Awaited::RestOfHead, _) => Some((Overdue::Head, self.since, limits.head)),
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
