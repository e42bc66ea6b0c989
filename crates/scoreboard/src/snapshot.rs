//! What a slot says, parsed from its bytes. Nothing is believed: whoever runs as the workers' user can write there
//! whatever he likes.

use std::time::Duration;

use crate::layout::slot::{
    ACCEPTS, CONNECTIONS, DRAIN, ENDED, IN_FLIGHT, LATENCY, LATENCY_SUM, PANICS, PID, READY, RECEIVED,
    REFUSED, RELEASE, RELEASE_WORDS, REQUESTS, RESPONSES, SENT, SEQUENCE, STARTED, TIMEOUTS, UNANSWERED,
};
use crate::layout::{SLOT_BYTES, SLOT_WORDS, WORD};
use crate::{Error, Histogram, Instance, Seat};

/// A slot as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose slot it is.
    pub instance: Instance,
    /// Whether the process in [`Record::identity`] lives, and so still has the slot.
    pub is_alive: bool,
    /// Its seat, read a moment after the rest.
    pub seat: Seat,
    /// What the slot says.
    pub record: Record,
}

/// What a slot says about the process that claimed it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which process.
    pub identity: Identity,
    /// Since when it is ready, by CLOCK_BOOTTIME ([`boottime`](crate::boottime)).
    pub ready_since: Option<Duration>,
    /// When its drain began, by CLOCK_BOOTTIME.
    pub drain_begun: Option<Duration>,
    /// What it has counted.
    pub counters: Counters,
}

/// Which process a slot is about. Two records with equal identities are of the same process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its process id; 0 if the slot is damaged.
    pub pid: u32,
    /// When it claimed the slot, by CLOCK_BOOTTIME ([`boottime`](crate::boottime)).
    pub started: Duration,
    /// The release it executes, up to 104 bytes. What is not UTF-8, and control characters, are replaced by `�`, so
    /// that it can be shown on a terminal.
    pub release: String,
}

/// What a process has counted since it claimed its slot. None of the figures can be relied upon to fit to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub accepts: u64,
    /// Connections open now.
    pub connections: u64,
    /// Connections closed at once because there were too many.
    pub refused: u64,
    /// Requests begun.
    pub requests: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that ended without a response.
    pub unanswered: u64,
    /// Responses with the status 1xx, 2xx, 3xx, 4xx and 5xx.
    pub responses: [u64; 5],
    /// Bytes received on connections.
    pub received: u64,
    /// Bytes sent on connections.
    pub sent: u64,
    /// Connections that ended in the drain, by kind: that of a kind is at `Ended::Forced as usize`.
    pub ended: [u64; 3],
    /// Panics of handlers.
    pub panics: u64,
    /// Timeouts, by kind: that of a kind is at `Timeout::Head as usize`.
    pub timeouts: [u64; 5],
    /// How long the requests took that were answered.
    pub latency: Histogram,
}

/// Parses the bytes of a slot. `None` if no process has ever claimed it or one is about to: the slot is a hole, is
/// behind the end of the file (no bytes), or its sequence is odd.
///
/// # Errors
/// [`Error::SlotTooShort`] if the bytes end within the slot; there is nothing else that could not be parsed.
pub fn parse(bytes: &[u8]) -> Result<Option<Record>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < SLOT_BYTES {
        return Err(Error::SlotTooShort { bytes: bytes.len() });
    }
    let words = words::<SLOT_WORDS>(bytes);
    let sequence = words[SEQUENCE];
    let is_claimed = sequence != 0 && sequence.is_multiple_of(2);
    Ok(is_claimed.then(|| record(&words)))
}

fn record(words: &[u64; SLOT_WORDS]) -> Record {
    Record {
        identity: Identity {
            pid: u32::try_from(words[PID]).unwrap_or(0),
            started: Duration::from_nanos(words[STARTED]),
            release: text(&words[RELEASE..][..RELEASE_WORDS]),
        },
        ready_since: stamp(words[READY]),
        drain_begun: stamp(words[DRAIN]),
        counters: counters(words),
    }
}

pub(crate) fn counters(words: &[u64; SLOT_WORDS]) -> Counters {
    Counters {
        accepts: words[ACCEPTS],
        connections: gauge(words[CONNECTIONS]),
        refused: words[REFUSED],
        requests: words[REQUESTS],
        in_flight: gauge(words[IN_FLIGHT]),
        unanswered: words[UNANSWERED],
        responses: several(words, RESPONSES),
        received: words[RECEIVED],
        sent: words[SENT],
        ended: several(words, ENDED),
        panics: words[PANICS],
        timeouts: several(words, TIMEOUTS),
        latency: Histogram::from_words(several(words, LATENCY), words[LATENCY_SUM]),
    }
}

/// The first `N` words of these bytes; what is missing is zero.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<WORD>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

fn several<const N: usize>(words: &[u64; SLOT_WORDS], first: usize) -> [u64; N] {
    std::array::from_fn(|at| words[first + at])
}

/// A number of things that are there now. It cannot be negative, unless the slot is damaged.
fn gauge(word: u64) -> u64 {
    if i64::try_from(word).is_ok() { word } else { 0 }
}

fn stamp(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != 0).then_some(Duration::from_nanos(nanoseconds))
}

fn text(words: &[u64]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests;
