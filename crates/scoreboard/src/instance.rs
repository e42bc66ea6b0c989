//! The number of a worker, and the position of its seat and slot on the board.

use std::fmt;
use std::ops::Range;

use crate::layout::{FRONT_BYTES, SEAT_WORDS, SEATS, SLOT_BYTES, SLOTS, WORD};

/// The number of a worker: 3 for `worker@3.service`. A board has room for 1 to 512.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(u16);

impl Instance {
    /// The highest number that a board has room for.
    pub const MAX: u32 = SLOTS as u32;
    /// `worker@1`.
    pub const FIRST: Self = Self(1);

    /// The instance with this number, or `None` if a board has no room for it.
    pub fn new(number: u32) -> Option<Self> {
        let has_room = (1..=Self::MAX).contains(&number);
        u16::try_from(number).ok().filter(|_| has_room).map(Self)
    }

    /// The number, from 1 to 512.
    pub fn number(self) -> u32 {
        self.0.into()
    }

    /// The instances from 1 to `highest`, or to 512 if that is lower.
    pub(crate) fn up_to(highest: u64) -> impl Iterator<Item = Self> {
        // The cast loses nothing, because there are 512 slots.
        (1..=highest.min(SLOTS as u64) as u16).map(Self)
    }

    /// The offset of the slot in the file, in bytes.
    pub(crate) fn slot_offset(self) -> u64 {
        (FRONT_BYTES + self.index() * SLOT_BYTES) as u64
    }

    /// The bytes that the living process named in the slot has locked.
    pub(crate) fn life_bytes(self) -> Range<u64> {
        self.slot_offset()..self.slot_offset() + WORD as u64
    }

    /// The bytes that the process that may write to the slot has locked.
    pub(crate) fn writer_bytes(self) -> Range<u64> {
        self.life_bytes().end..self.slot_offset() + SLOT_BYTES as u64
    }

    /// The offset of the seat in the file, in words.
    pub(crate) fn seat_word(self) -> usize {
        SEATS + self.index() * SEAT_WORDS
    }

    fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker@{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_1_to_512() {
        let numbers = [0, 1, 512, 513, 65_537, u32::MAX];
        assert_eq!(
            numbers.map(|n| Instance::new(n).map(Instance::number)),
            [None, Some(1), Some(512), None, None, None]
        );
        assert_eq!(Instance::up_to(u64::MAX).last(), Instance::new(512));
        assert_eq!(Instance::up_to(0).count(), 0);
    }
}
