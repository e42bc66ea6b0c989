//! Which workers accept connections, and how busy each of them is. Workers use this to share new connections
//! fairly.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Instance;
use crate::layout::seat::{ACCEPTING, CONNECTIONS, LAST_ACCEPT, STATE};
use crate::layout::{FRONT_WORDS, SEAT_WORDS};

/// The seat of an instance in the table.
///
/// If a worker was killed, its seat still shows it as accepting, with its connections, until its successor
/// claims the slot. See [`Sibling::is_held`](crate::Sibling::is_held).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seat {
    /// Whether a worker has taken the seat and accepts.
    pub is_accepting: bool,
    /// Connections that are open now.
    pub connections: u64,
    /// When the last connection was accepted, by CLOCK_MONOTONIC ([`monotonic`](crate::monotonic)). Zero if
    /// none was.
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

/// The words of one seat.
pub(crate) fn words(front: &[AtomicU64; FRONT_WORDS], instance: Instance) -> &[AtomicU64] {
    &front[instance.seat_word()..][..SEAT_WORDS]
}

pub(crate) fn read(front: &[AtomicU64; FRONT_WORDS], instance: Instance) -> Seat {
    let words = words(front, instance);
    Seat::parse(std::array::from_fn(|word| words[word].load(Relaxed)))
}
