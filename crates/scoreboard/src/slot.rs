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
use crate::seat::{self, Seat};
use crate::sibling::{self, Sibling};
use crate::{Connection, Counters, Ended, Instance, Request, Timeout, clock, snapshot};

/// The slot of this process. Counting is one atomic addition. All clones count on the same slot.
///
/// The claim ends when the last clone, the last [`Connection`] and the last [`Request`] are dropped. The
/// figures then stay readable, as those of a dead process.
#[derive(Debug, Clone)]
pub struct Slot {
    claim: Arc<Claim>,
}

impl Slot {
    /// A slot in private memory, for a worker that cannot get a slot on a board. It has no siblings.
    pub fn private(instance: Instance, release: &str) -> Self {
        Self::of(Claim::private(instance, release))
    }

    pub(crate) fn of(claim: Claim) -> Self {
        Self { claim: Arc::new(claim) }
    }

    /// The instance that the slot belongs to.
    pub fn instance(&self) -> Instance {
        self.claim.instance
    }

    /// Whether the slot is in private memory.
    pub fn is_private(&self) -> bool {
        self.claim.is_private()
    }

    /// Records that the process is ready, and takes its seat. You can call it again after
    /// [`leave`](Self::leave). After the drain has begun, it has no effect.
    pub fn ready(&self) {
        if self.word(DRAIN).load(Relaxed) == 0 {
            let _ = self.word(READY).compare_exchange(0, clock::boottime_ns(), Relaxed, Relaxed);
            self.claim.seat(STATE).store(ACCEPTING, Relaxed);
        }
    }

    /// Records that the process no longer accepts connections, so that siblings do not rely on it.
    pub fn leave(&self) {
        self.claim.leave();
    }

    /// Records that the drain begins, and leaves the seat.
    pub fn draining(&self) {
        let _ = self.word(DRAIN).compare_exchange(0, clock::boottime_ns(), Relaxed, Relaxed);
        self.leave();
    }

    /// Counts an accepted connection. It is open until the guard is dropped.
    pub fn accepted(&self) -> Connection {
        add(self.word(ACCEPTS), 1);
        add(self.word(CONNECTIONS), 1);
        add(self.claim.seat(of_seat::CONNECTIONS), 1);
        self.claim.seat(LAST_ACCEPT).store(clock::monotonic_ns(), Relaxed);
        Connection::new(self.clone())
    }

    /// Counts a connection that was accepted and closed at once, or a WebSocket that was refused, because
    /// there were too many.
    pub fn refused(&self) {
        add(self.word(REFUSED), 1);
    }

    /// Counts a request that begins. It is in flight until the guard is dropped.
    #[must_use = "a request that is dropped at once was never answered"]
    pub fn request_begun(&self) -> Request {
        self.request_begun_at(Instant::now())
    }

    /// Counts a request as [`request_begun`](Self::request_begun) does, for a caller that has already read
    /// the clock.
    #[must_use = "a request that is dropped at once was never answered"]
    pub fn request_begun_at(&self, now: Instant) -> Request {
        Request::new(self.clone(), now)
    }

    /// How many requests have begun in this process.
    pub fn requests(&self) -> u64 {
        self.word(REQUESTS).load(Relaxed)
    }

    /// The figures counted on this slot so far.
    pub fn counters(&self) -> Counters {
        snapshot::counters(&std::array::from_fn(|word| self.word(word).load(Relaxed)))
    }

    /// Counts bytes received from clients.
    pub fn received(&self, bytes: u64) {
        add(self.word(RECEIVED), bytes);
    }

    /// Counts bytes sent to clients.
    pub fn sent(&self, bytes: u64) {
        add(self.word(SENT), bytes);
    }

    /// Counts a panic of a handler.
    pub fn panicked(&self) {
        add(self.word(PANICS), 1);
    }

    /// Counts a timeout of a connection.
    pub fn timed_out(&self, timeout: Timeout) {
        add(self.word(TIMEOUTS + timeout as usize), 1);
    }

    /// The seat of this process.
    pub fn seat(&self) -> Seat {
        seat::read(&self.claim.front, self.claim.instance)
    }

    /// The seats of the other instances that accept, in the order of their numbers. To read one, the
    /// processor may have to fetch a cache line from another processor.
    pub fn siblings(&self) -> impl Iterator<Item = Sibling<'_>> {
        sibling::siblings(&self.claim)
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

/// Adds to a counter. No other memory access depends on the order, so it is relaxed. A counter that overflows
/// starts again at zero.
pub(crate) fn add(word: &AtomicU64, number: u64) {
    word.fetch_add(number, Relaxed);
}

/// Subtracts what a guard has added.
pub(crate) fn subtract_one(word: &AtomicU64) {
    word.fetch_sub(1, Relaxed);
}
