//! Who accepts, and how busy each of them is: what workers look at to share new connections fairly.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Instance;
use crate::layout::seat::{ACCEPTING, CONNECTIONS, LAST_ACCEPT, STATE};
use crate::layout::{FRONT_WORDS, HIGH_WATER, SEAT_WORDS};
use crate::slot::Slot;

/// The seat of an instance in the table.
///
/// A worker that was killed still accepts by its seat, and still has its connections, until its successor takes the
/// slot; see [`Sibling::is_held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seat {
    /// Whether somebody sits there and accepts.
    pub is_accepting: bool,
    /// Connections that are open now.
    pub connections: u64,
    /// When the last one was accepted, by CLOCK_MONOTONIC ([`monotonic`](crate::monotonic)); zero for never.
    pub last_accept: Duration,
}

impl Seat {
    pub(crate) fn parse(words: [u64; SEAT_WORDS]) -> Self {
        Self {
            is_accepting: words[STATE] == ACCEPTING,
            connections: words[CONNECTIONS],
            last_accept: Duration::from_nanos(words[LAST_ACCEPT]),
        }
    }
}

/// Another worker that accepts, as its seat says.
#[derive(Clone, Copy)]
pub struct Sibling<'a> {
    slot: &'a Slot,
    /// Which one.
    pub instance: Instance,
    /// Its seat when it was looked at.
    pub seat: Seat,
}

impl Sibling<'_> {
    /// Whether a living process has its slot: one system call. What cannot be asked counts as dead, for who waits
    /// for nobody loses nothing.
    pub fn is_held(&self) -> bool {
        self.slot.is_held(self.instance)
    }
}

impl fmt::Debug for Sibling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sibling").field("instance", &self.instance).field("seat", &self.seat).finish()
    }
}

/// The words of one seat.
pub(crate) fn words(front: &[AtomicU64; FRONT_WORDS], instance: Instance) -> &[AtomicU64] {
    &front[instance.seat_word()..][..SEAT_WORDS]
}

/// The others that accept, in the order of their numbers.
pub(crate) fn siblings<'a>(
    slot: &'a Slot,
    front: &'a [AtomicU64; FRONT_WORDS],
) -> impl Iterator<Item = Sibling<'a>> {
    let highest = front[HIGH_WATER].load(Relaxed);
    let others = Instance::up_to(highest).filter(|instance| *instance != slot.instance());
    others
        .map(move |instance| Sibling { slot, instance, seat: read(front, instance) })
        .filter(|sibling| sibling.seat.is_accepting)
}

pub(crate) fn read(front: &[AtomicU64; FRONT_WORDS], instance: Instance) -> Seat {
    let words = words(front, instance);
    Seat::parse(std::array::from_fn(|word| words[word].load(Relaxed)))
}
