//! Decides which worker takes the next connection from the accept queue that all workers share.
//!
//! Without this, the worker that wakes up first would empty the queue: of 64 connections at once, one worker of
//! four took 58. So each worker reads the seats of the others. All workers compute the same result: the
//! queued connections go, one after another, to the worker with the fewest connections. Among equals, the one
//! that has waited longest gets it. A worker takes its own part at once. It waits for no sibling first, not
//! even during a moment in which it leaves the rest to the siblings.
//!
//! A worker does not ask whether a sibling is alive. If a sibling does not take its part within some moments, it
//! is dead, stopped or busy. The others then stop waiting for it until it accepts again.
//!
//! Open connections are not load: most are idle, and new ones are not. A worker that has just started has far
//! fewer connections than siblings that have collected them for hours. It would get every new connection until
//! it has as many as they have. So it counts as at most [`ARREARS`] connections behind. In each [`PERIOD`]
//! it gets at most that many more than its part.

use std::mem;
use std::time::{Duration, Instant};

use scoreboard::{Instance, Seat};

/// For how many moments a worker waits for a sibling that takes nothing.
const MOMENTS: u32 = 4;
/// By how many connections, at most, a worker counts as behind the one with the most when a period begins.
const ARREARS: u64 = 8;
/// How often the workers recompute how far each is behind.
const PERIOD: Duration = Duration::from_secs(1);

/// What this worker knows of itself and the others.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Indexed by instance.
    known: Vec<Known>,
    /// Kept to reuse its memory at the next look.
    siblings: Vec<(Instance, Seat)>,
    period_began: Option<Instant>,
}

/// What was last known of a worker.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The time of its last accept, as read at the begin or the end of the last moment.
    last_accept: Option<Duration>,
    /// For how many moments in a row it has not taken its part.
    missed: u32,
    /// How many connections it had when the period began. If it has fewer now, it was replaced or its clients
    /// have gone.
    at_first: u64,
}

impl Known {
    const NOTHING: Self = Self { last_accept: None, missed: 0, at_first: u64::MAX };
}

/// What to do about the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Take one.
    Mine,
    /// Leave it to the siblings for a moment. Look again when the moment is over or when another connection
    /// arrives.
    Theirs,
}

/// The time for which this worker leaves a queue that is not empty to its siblings. It goes on while this
/// worker takes its own part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// No moment has begun. One begins if it is the siblings' turn.
    None,
    /// A moment has begun.
    Runs,
    /// The moment ends with this look.
    Over,
}

impl Share {
    /// The queue is empty. If a new period is due, it begins with the connections of these workers, including
    /// this one.
    pub(crate) fn rest(&mut self, now: Instant, workers: impl Iterator<Item = (Instance, Seat)>) {
        if self.period_began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            self.period_began = Some(now);
            self.known.iter_mut().for_each(|known| known.at_first = u64::MAX);
            workers.for_each(|worker| {
                self.at_first(worker);
            });
        }
    }

    /// Which side takes the next connection if `queued` connections are in the queue.
    pub(crate) fn turn(
        &mut self,
        queued: u64,
        moment: Moment,
        me: (Instance, Seat),
        siblings: impl Iterator<Item = (Instance, Seat)>,
    ) -> Turn {
        let mut seats = mem::take(&mut self.siblings);
        seats.clear();
        seats.extend(siblings);
        let turn = self.turn_among(queued, moment, me, &seats);
        self.siblings = seats;
        turn
    }

    fn turn_among(
        &mut self,
        queued: u64,
        moment: Moment,
        me: (Instance, Seat),
        siblings: &[(Instance, Seat)],
    ) -> Turn {
        let most = siblings.iter().chain([&me]).map(|worker| self.at_first(*worker)).max().unwrap_or(0);
        let me = self.with_remission(most, me);
        let mut ahead = 0_u64;
        let mut has_moved = false;
        for &(instance, seat) in siblings {
            let theirs = before_mine(me, self.with_remission(most, (instance, seat)));
            let known = self.known(instance);
            let moves = known.last_accept.is_some_and(|last| last != seat.last_accept);
            has_moved |= moves;
            if moment != Moment::Runs || known.last_accept.is_none() {
                let misses = moment == Moment::Over && theirs > 0;
                known.missed = if moves { 0 } else { known.missed.saturating_add(misses.into()) };
                known.last_accept = Some(seat.last_accept);
            }
            if moves || known.missed < MOMENTS {
                ahead = ahead.saturating_add(theirs);
            }
        }
        // In a moment in which no sibling moved, the worker takes one connection. A sibling that is only late
        // then still finds the rest.
        let is_left = moment == Moment::Over && !has_moved;
        if queued > ahead || is_left { Turn::Mine } else { Turn::Theirs }
    }

    /// How many connections this worker had when the period began.
    fn at_first(&mut self, (instance, seat): (Instance, Seat)) -> u64 {
        let known = self.known(instance);
        known.at_first = known.at_first.min(seat.connections);
        known.at_first
    }

    /// The seat as if the worker were at most [`ARREARS`] connections behind.
    fn with_remission(&mut self, most: u64, (instance, seat): (Instance, Seat)) -> (Instance, Seat) {
        let remission = most.saturating_sub(ARREARS).saturating_sub(self.at_first((instance, seat)));
        (instance, Seat { connections: seat.connections.saturating_add(remission), ..seat })
    }

    fn known(&mut self, instance: Instance) -> &mut Known {
        let index = instance.number() as usize;
        if index >= self.known.len() {
            self.known.resize(index + 1, Known::NOTHING);
        }
        &mut self.known[index]
    }
}

/// How many connections this sibling gets before the next one is for `me`.
fn before_mine(me: (Instance, Seat), sibling: (Instance, Seat)) -> u64 {
    let place = |(instance, seat): (Instance, Seat)| (seat.last_accept, instance);
    let is_before = place(sibling) < place(me);
    me.1.connections.saturating_add(is_before.into()).saturating_sub(sibling.1.connections)
}

#[cfg(test)]
mod tests;
