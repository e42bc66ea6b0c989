//! What happens when: by time, and at the same time in the order in which it was queued.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use cluster::effect::{Disk as Task, Token};
use cluster::input::{Answer, Caller};

use crate::systemd::Moment;
use crate::world::calm::Calm;

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Item {
    /// A moment comes in a unit.
    Moment {
        worker: u32,
        epoch: u32,
        moment: Moment,
    },
    /// A call reaches systemd over this connection.
    Call {
        bus: u32,
    },
    /// A message of systemd arrives over this connection.
    Deliver {
        bus: u32,
    },
    /// This call was not answered in time.
    TimeOut {
        life: u32,
        token: Token,
    },
    /// An answer comes that is neither systemd's nor the disk's.
    Answer {
        life: u32,
        token: Token,
        answer: Box<Answer>,
    },
    /// The disk has done the task that it got first.
    Disk {
        life: u32,
    },
    /// The disk has been read for this survey.
    Survey {
        life: u32,
        token: Token,
        task: Box<Task>,
    },
    Wake {
        life: u32,
        at: u64,
    },
    Connect {
        life: u32,
    },
    /// A caller should have its reply by now.
    Expect {
        life: u32,
        caller: Caller,
    },
    /// A rollout waits for an operator. By now no other may wait behind it.
    ExpectNone {
        life: u32,
        rollout: u64,
    },
    /// An operator has stopped this run of a worker, and the orchestrator could hear it.
    Stopped {
        life: u32,
        worker: u32,
        invocation: u64,
        bus: u32,
    },
    /// systemd starts the orchestrator.
    Start {
        life: u32,
    },
    /// The stop timeout of the orchestrator has passed, and systemd kills it.
    Overdue {
        life: u32,
    },
    /// `app-cluster.target` is restarted.
    TargetRestarts {
        life: u32,
    },
    /// A unit that has the name of a worker begins to run, or is gone.
    Stranger {
        is_there: bool,
    },
    /// What was wrong for a while is right again.
    Decide,
    Unmask,
    Correct,
    People,
    Nature,
    Quiet,
    Calm(Calm),
}

/// A time in us, a unique number, and what happens then.
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

    /// The next item, and when it happens.
    pub(super) fn pop(&mut self) -> Option<(u64, Item)> {
        self.heap.pop().map(|Reverse(Entry(time, _, item))| (time, item))
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }
}
