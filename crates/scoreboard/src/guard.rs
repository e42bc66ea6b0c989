//! Guards for connections and requests. Dropping a guard counts the end, so no caller can forget to.

use std::time::{Duration, Instant};

use crate::layout::slot::{IN_FLIGHT, LATENCY, LATENCY_SUM, REQUESTS, RESPONSES, UNANSWERED};
use crate::slot::{add, subtract_one};
use crate::{Ended, Slot, histogram};

/// An open connection. It is counted as closed when the guard is dropped.
#[derive(Debug)]
#[must_use = "a connection is counted as closed when this is dropped"]
pub struct Connection {
    slot: Slot,
    ended: Ended,
}

impl Connection {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot, ended: Ended::Finished }
    }

    /// The slot that counts it.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Records another end than [`Ended::Finished`]. The kind is counted only during the drain.
    pub fn end(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.slot.closed(self.ended);
    }
}

/// A request in flight. If the guard is dropped before the request was answered, the request is counted as
/// ended without a response.
#[derive(Debug)]
#[must_use = "a request that is dropped at once was never answered"]
pub struct Request {
    slot: Slot,
    begun: Instant,
    is_answered: bool,
}

impl Request {
    pub(crate) fn new(slot: Slot, begun: Instant) -> Self {
        add(slot.word(REQUESTS), 1);
        add(slot.word(IN_FLIGHT), 1);
        Self { slot, begun, is_answered: false }
    }

    /// Records that the request was answered now, with this status.
    pub fn answered(mut self, status: u16) {
        let latency = self.begun.elapsed();
        self.answered_in(status, latency);
    }

    /// The slot that counts it.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Records that the request was answered with this status after this time. Only the first call counts. A
    /// status outside of 100 to 599 is counted as 5xx, because a client has to treat it so (RFC 9110 §15).
    pub fn answered_in(&mut self, status: u16, latency: Duration) {
        if std::mem::replace(&mut self.is_answered, true) {
            return;
        }
        let class = if (100..600).contains(&status) { status / 100 } else { 5 };
        let microseconds = histogram::microseconds(latency);
        add(self.slot.word(RESPONSES + usize::from(class) - 1), 1);
        add(self.slot.word(LATENCY + histogram::bucket_of(microseconds)), 1);
        add(self.slot.word(LATENCY_SUM), microseconds);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.is_answered {
            add(self.slot.word(UNANSWERED), 1);
        }
        subtract_one(self.slot.word(IN_FLIGHT));
    }
}
