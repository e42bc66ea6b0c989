//! Whose turn it is to take a connection from the queue that all workers share.
//!
//! Whoever wakes up first would drain the queue: of 64 connections at once one worker of four takes 58. So each
//! worker looks at the seats of the others and works out, as they do, to whom the connections in the queue
//! go if they are shared out one after another to whoever has the fewest, and among equals to whoever has waited longest.
//! It takes its own at once and waits for nobody, not even for the moment for which it leaves theirs to the others.
//!
//! Nobody has to be asked whether a sibling lives: one that does not take what is its own within some moments, because it
//! is dead, stopped, or busy, is not waited for until it takes something again.
//!
//! Open connections are no work: most are idle, and new ones are not. A worker that has just started has fewer by all that
//! its siblings have gathered in hours, and would get each new one until it has as many. So it is behind by no more than
//! [`ARREARS`], and what it gets beyond its part is no more than that in each [`PERIOD`].

use std::mem;
use std::time::{Duration, Instant};

use scoreboard::{Instance, Seat};

/// For so many moments a sibling is waited for.
const MOMENTS: u32 = 4;
/// By so many connections a worker can be behind the one that has most, when a period begins.
const ARREARS: u64 = 8;
/// How often it is looked at anew who is behind.
const PERIOD: Duration = Duration::from_secs(1);

/// What this worker knows of itself and the others.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// By instance.
    known: Vec<Known>,
    /// Kept for the next look.
    siblings: Vec<(Instance, Seat)>,
    period_began: Option<Instant>,
}

/// A worker as it was known last.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// When it had taken something last, at the begin or the end of the last moment.
    last_accept: Option<Duration>,
    /// For how many moments it has not taken what was its own.
    missed: u32,
    /// How many connections it had when the period began. One that has fewer now was replaced, or its clients have gone.
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
    /// Leave it to them for a moment, and look again when it is over or when another connection comes.
    Theirs,
}

/// The time for which a queue that is not empty is left to the siblings. It goes on while this worker takes what is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// None has begun. One does if it turns out to be their turn.
    None,
    /// It has begun.
    Runs,
    /// It is over with this look.
    Over,
}

impl Share {
    /// The queue is empty, and a period may begin with as many connections as these workers have, this one among them.
    pub(crate) fn rest(&mut self, now: Instant, workers: impl Iterator<Item = (Instance, Seat)>) {
        if self.period_began.is_none_or(|began| now.duration_since(began) >= PERIOD) {
            self.period_began = Some(now);
            self.known.iter_mut().for_each(|known| known.at_first = u64::MAX);
            workers.for_each(|worker| {
                self.at_first(worker);
            });
        }
    }

    /// Whose turn it is, with so many connections in the queue.
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
        // One connection for each moment in which nobody moved: who is not slow but only late finds the rest.
        let is_left = moment == Moment::Over && !has_moved;
        if queued > ahead || is_left { Turn::Mine } else { Turn::Theirs }
    }

    /// How many connections this worker had when the period began.
    fn at_first(&mut self, (instance, seat): (Instance, Seat)) -> u64 {
        let known = self.known(instance);
        known.at_first = known.at_first.min(seat.connections);
        known.at_first
    }

    /// The worker as if it had not been behind by more than [`ARREARS`].
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

/// How many connections this sibling gets before the next one is mine.
fn before_mine(me: (Instance, Seat), sibling: (Instance, Seat)) -> u64 {
    let place = |(instance, seat): (Instance, Seat)| (seat.last_accept, instance);
    let is_before = place(sibling) < place(me);
    me.1.connections.saturating_add(is_before.into()).saturating_sub(sibling.1.connections)
}

#[cfg(test)]
mod tests;
