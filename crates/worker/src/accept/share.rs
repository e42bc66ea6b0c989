//! Whose turn it is to take a connection from the queue that all workers share.
//!
//! Whoever wakes up first would drain the queue: of 64 connections at once one worker of four takes 58. So each
//! worker looks at the seats of the others and works out, as they do, to whom the connections in the queue
//! go if they are shared out one after another to whoever has the fewest, and among equals to whoever has waited longest.
//! It takes its own at once and waits for nobody; the others' it leaves to them for a moment.
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
pub(crate) struct Share {
    /// Siblings that did not take what was theirs, when they had taken something last, and for how many moments.
    slow: HashMap<Instance, (Duration, u32)>,
    /// A moment has passed in which this worker left the queue to them.
    has_waited: bool,
}

/// What to do about the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Take one.
    Mine,
    /// Wait a moment, then look again.
    Theirs,
}

impl Share {
    /// Whose turn it is, with so many connections in the queue. To be asked again after a connection was taken, and after
    /// a moment when it is not this worker's turn.
    pub(crate) fn turn(
        &mut self,
        queued: u64,
        me: (Instance, Seat),
        siblings: impl Iterator<Item = (Instance, Seat)>,
    ) -> Turn {
        let has_waited = std::mem::take(&mut self.has_waited);
        let mut ahead = 0_u64;
        let mut has_moved = false;
        for (instance, seat) in siblings {
            let theirs = before_mine(me, (instance, seat));
            let slow = self.slow.entry(instance).or_insert((seat.last_accept, 0));
            if slow.0 != seat.last_accept {
                *slow = (seat.last_accept, 0);
                has_moved |= has_waited;
            } else if has_waited && theirs > 0 {
                slow.1 += 1;
            }
            if slow.1 < MOMENTS {
                ahead = ahead.saturating_add(theirs);
            }
        }
        // One connection for each moment in which nobody moved: who is not slow but only late finds the rest.
        if queued > ahead || (has_waited && !has_moved) {
            return Turn::Mine;
        }
        self.has_waited = true;
        Turn::Theirs
    }
}

/// How many connections this sibling gets before the next one is mine.
fn before_mine(me: (Instance, Seat), sibling: (Instance, Seat)) -> u64 {
    let place = |(instance, seat): (Instance, Seat)| (seat.last_accept, instance);
    let is_before = place(sibling) < place(me);
    (me.1.connections + u64::from(is_before)).saturating_sub(sibling.1.connections)
}

#[cfg(test)]
mod tests;
