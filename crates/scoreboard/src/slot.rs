//! The slot of this process, on which it counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::claim::Claim;
use crate::layout::seat::{self as of_seat, ACCEPTING, LAST_ACCEPT, STATE};
use crate::layout::slot::{
    ACCEPTS, CONNECTIONS, DRAIN, ENDED, PANICS, READY, RECEIVED, REFUSED, REQUESTS, SENT, TIMEOUTS,
};
use crate::seat::{self, Seat, Sibling};
use crate::{Connection, Counters, Ended, Instance, Request, Timeout, clock, snapshot};

/// The slot of this process. Every figure is one atomic addition; clones count on the same slot.
///
/// When the last clone is gone, and the last [`Connection`] and [`Request`], so is the claim: the figures stay
/// readable, as those of a process that is dead.
#[derive(Debug, Clone)]
pub struct Slot {
    claim: Arc<Claim>,
}

impl Slot {
    /// A slot that nobody else sees, for a worker that cannot have one of a board. It has no siblings.
    pub fn private(instance: Instance, release: &str) -> Self {
        Self::of(Claim::private(instance, release))
    }

    pub(crate) fn of(claim: Claim) -> Self {
        Self { claim: Arc::new(claim) }
    }

    /// The instance whose slot it is.
    pub fn instance(&self) -> Instance {
        self.claim.instance
    }

    /// Whether nobody else sees it.
    pub fn is_private(&self) -> bool {
        self.claim.is_private()
    }

    /// The process is ready, and takes its seat. It can be said again after [`leave`](Self::leave), but is not heard
    /// in the drain.
    pub fn ready(&self) {
        if self.word(DRAIN).load(Relaxed) == 0 {
            let _ = self.word(READY).compare_exchange(0, clock::boottime_ns(), Relaxed, Relaxed);
            self.claim.seat(STATE).store(ACCEPTING, Relaxed);
        }
    }

    /// The process does not accept any more: siblings shall not count on it.
    pub fn leave(&self) {
        self.claim.leave();
    }

    /// The drain begins, and with it the seat is left.
    pub fn draining(&self) {
        let _ = self.word(DRAIN).compare_exchange(0, clock::boottime_ns(), Relaxed, Relaxed);
        self.leave();
    }

    /// A connection was accepted. It is open until the guard is dropped.
    pub fn accepted(&self) -> Connection {
        add(self.word(ACCEPTS), 1);
        add(self.word(CONNECTIONS), 1);
        add(self.claim.seat(of_seat::CONNECTIONS), 1);
        self.claim.seat(LAST_ACCEPT).store(clock::monotonic_ns(), Relaxed);
        Connection::new(self.clone())
    }

    /// A connection was accepted and closed at once, or a WebSocket refused, because there were too many.
    pub fn refused(&self) {
        add(self.word(REFUSED), 1);
    }

    /// A request begins. It is in flight until the guard is dropped.
    #[must_use = "a request that is dropped at once was never answered"]
    pub fn request_begun(&self) -> Request {
        self.request_begun_at(Instant::now())
    }

    /// The same for who has just looked at the clock.
    #[must_use = "a request that is dropped at once was never answered"]
    pub fn request_begun_at(&self, now: Instant) -> Request {
        Request::new(self.clone(), now)
    }

    /// How many requests have begun in this process.
    pub fn requests(&self) -> u64 {
        self.word(REQUESTS).load(Relaxed)
    }

    /// What has been counted on it so far.
    pub fn counters(&self) -> Counters {
        snapshot::counters(&std::array::from_fn(|word| self.word(word).load(Relaxed)))
    }

    /// That many bytes came from clients.
    pub fn received(&self, bytes: u64) {
        add(self.word(RECEIVED), bytes);
    }

    /// That many bytes went to clients.
    pub fn sent(&self, bytes: u64) {
        add(self.word(SENT), bytes);
    }

    /// A handler has panicked.
    pub fn panicked(&self) {
        add(self.word(PANICS), 1);
    }

    /// A connection was waited for too long.
    pub fn timed_out(&self, timeout: Timeout) {
        add(self.word(TIMEOUTS + timeout as usize), 1);
    }

    /// The seat of this process.
    pub fn seat(&self) -> Seat {
        seat::read(&self.claim.front, self.claim.instance)
    }

    /// The seats of the others that accept, in the order of their numbers. Each of them is a cache line to be fetched
    /// from another processor.
    pub fn siblings(&self) -> impl Iterator<Item = Sibling<'_>> {
        seat::siblings(self, &self.claim.front)
    }

    pub(crate) fn is_held(&self, instance: Instance) -> bool {
        self.claim.is_held(instance)
    }

    pub(crate) fn closed(&self, ended: Ended) {
        subtract_one(self.word(CONNECTIONS));
        subtract_one(self.claim.seat(of_seat::CONNECTIONS));
        if self.word(DRAIN).load(Relaxed) != 0 {
            add(self.word(ENDED + ended as usize), 1);
        }
    }

    pub(crate) fn word(&self, word: usize) -> &AtomicU64 {
        self.claim.slot(word)
    }
}

/// Counting orders nothing else, and a counter that runs over starts again at zero.
pub(crate) fn add(word: &AtomicU64, number: u64) {
    word.fetch_add(number, Relaxed);
}

/// Takes back what a guard has added.
pub(crate) fn subtract_one(word: &AtomicU64) {
    word.fetch_sub(1, Relaxed);
}
