//! Whose turn it is to take a connection from the queue that all workers share.
//!
//! Whoever wakes up first would drain the queue: of 64 connections at once one worker of four takes 58. So each
//! worker looks at the seats of the others and works out, as they do, to whom the connections in the queue
//! go if they are shared out one after another to whoever has the fewest, and among equals to whoever has waited longest.
//! It takes its own at once and waits for nobody, not even for the moment for which it leaves theirs to the others.
//!
//! Nobody has to be asked whether a sibling lives: one that does not take what is its own within some moments, because it
//! is dead, stopped, or busy, is not waited for until it takes something again.

use std::collections::HashMap;
use std::time::Duration;

use scoreboard::{Instance, Seat};

/// For so many moments a sibling is waited for.
const MOMENTS: u32 = 4;

/// What this worker knows of the others.
#[derive(Debug, Default)]
pub(crate) struct Share(HashMap<Instance, Known>);

/// A sibling as it was when the last moment began or ended.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// When it had taken something last.
    last_accept: Duration,
    /// For how many moments it has not taken what was its own.
    missed: u32,
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
    /// Whose turn it is, with so many connections in the queue.
    pub(crate) fn turn(
        &mut self,
        queued: u64,
        moment: Moment,
        me: (Instance, Seat),
        siblings: impl Iterator<Item = (Instance, Seat)>,
    ) -> Turn {
        let mut ahead = 0_u64;
        let mut has_moved = false;
        for (instance, seat) in siblings {
            let theirs = before_mine(me, (instance, seat));
            let known = self.0.entry(instance).or_insert(Known { last_accept: seat.last_accept, missed: 0 });
            let moves = known.last_accept != seat.last_accept;
            has_moved |= moves;
            if moment != Moment::Runs {
                let misses = moment == Moment::Over && theirs > 0;
                let missed = if moves { 0 } else { known.missed.saturating_add(misses.into()) };
                *known = Known { last_accept: seat.last_accept, missed };
            }
            if moves || known.missed < MOMENTS {
                ahead = ahead.saturating_add(theirs);
            }
        }
        // One connection for each moment in which nobody moved: who is not slow but only late finds the rest.
        let is_left = moment == Moment::Over && !has_moved;
        if queued > ahead || is_left { Turn::Mine } else { Turn::Theirs }
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
