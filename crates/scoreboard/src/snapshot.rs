//! Parses the bytes of a slot. It trusts none of them, because any process of the workers' user can write
//! anything there.

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
    /// The instance that the slot belongs to.
    pub instance: Instance,
    /// Whether the process in [`Record::identity`] is alive, and so still has the slot.
    pub is_alive: bool,
    /// The seat of the instance, read a moment after the rest.
    pub seat: Seat,
    /// The content of the slot.
    pub record: Record,
}

/// The content of a slot: the process that claimed it last, and its figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The process.
    pub identity: Identity,
    /// When the process became ready, by CLOCK_BOOTTIME ([`boottime`](crate::boottime)).
    pub ready_since: Option<Duration>,
    /// When the process began to drain, by CLOCK_BOOTTIME.
    pub drain_begun: Option<Duration>,
    /// What the process has counted.
    pub counters: Counters,
}

/// The process that a slot belongs to. If the identities of two records are equal, both belong to the same
/// process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The process id. 0 if the slot is damaged.
    pub pid: u32,
    /// When the process claimed the slot, by CLOCK_BOOTTIME ([`boottime`](crate::boottime)).
    pub started: Duration,
    /// The release that the process executes, up to 104 bytes. Invalid UTF-8 and control characters are
    /// replaced by `�`, so that a terminal can show it.
    pub release: String,
}

/// What a process has counted since it claimed its slot. Do not rely on the figures being consistent with
/// each other.
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
    /// Connections that ended during the drain, by kind. The index of a kind is, for example, `Ended::Forced
    /// as usize`.
    pub ended: [u64; 3],
    /// Handlers that panicked.
    pub panics: u64,
    /// Timeouts, by kind. The index of a kind is, for example, `Timeout::Head as usize`.
    pub timeouts: [u64; 5],
    /// How long the answered requests took.
    pub latency: Histogram,
}

/// Parses the bytes of a slot. `None` if no process has ever claimed it, or if a process is claiming it. The
/// slot is then a hole, or lies beyond the end of the file (no bytes), or its sequence is odd.
///
/// # Errors
/// [`Error::SlotTooShort`] if the bytes end within the slot. Nothing else makes the parser fail.
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

/// The first `N` words of these bytes. Missing words are zero.
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

/// The value of a gauge. It cannot be negative, unless the slot is damaged.
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
