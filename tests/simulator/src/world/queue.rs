//! What happens when: by time, and at the same time in the order in which it was set in motion.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rollout::Attempt;

use crate::systemd::{Moment, Signal};

/// What happens at some time.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Moment { worker: u32, epoch: u64, moment: Moment },
    Signal { life: u64, signal: Signal },
    Look { life: u64, worker: u32 },
    Tick { life: u64 },
    Settled { life: u64, rollout: u64, worker: u32 },
    StepDeadline { life: u64, rollout: u64, worker: u32, attempt: Attempt },
    Deadline { life: u64, rollout: u64 },
    Revive,
    People,
    Nature,
    Quiet,
    LastReload,
    Judge,
}

/// A time in ms, a number that no other has, and what happens then.
struct Entry(u64, u64, Item);

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// What is to happen.
#[derive(Default)]
pub(super) struct Queue {
    sequence: u64,
    heap: BinaryHeap<Reverse<Entry>>,
}

impl Queue {
    pub(super) fn push(&mut self, time: u64, item: Item) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry(time, self.sequence, item)));
    }

    /// The next, and when it happens.
    pub(super) fn pop(&mut self) -> Option<(u64, Item)> {
        self.heap.pop().map(|Reverse(Entry(time, _, item))| (time, item))
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }
}
