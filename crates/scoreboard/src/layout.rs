//! The positions of all words. The crate's documentation draws the layout.
//!
//! If you change anything here, also change [`VERSION`] and the file name in [`DEFAULT_PATH`].

use crate::histogram::BUCKETS;

/// The version of the layout.
pub const VERSION: u64 = 1;

/// The path of the board of a cluster's workers.
pub const DEFAULT_PATH: &str = "/run/app-cluster/scoreboard/board.v1";

/// The bytes of a word.
pub(crate) const WORD: usize = 8;

/// The number of slots, and of seats.
pub(crate) const SLOTS: usize = 512;

/// A seat is a cache line, so that accepting workers do not slow each other down.
pub(crate) const SEAT_WORDS: usize = 8;

/// A slot is a page: the smallest unit that can be mapped, or be a hole.
pub(crate) const SLOT_WORDS: usize = 512;
pub(crate) const SLOT_BYTES: usize = SLOT_WORDS * WORD;

/// The first word of the table of seats.
pub(crate) const SEATS: usize = SLOT_WORDS;

/// The header and the table of seats, which every worker maps.
pub(crate) const FRONT_WORDS: usize = SEATS + SLOTS * SEAT_WORDS;
pub(crate) const FRONT_BYTES: usize = FRONT_WORDS * WORD;

/// The word with the highest instance that has ever claimed a slot. A reader need not read the seats after
/// it.
pub(crate) const HIGH_WATER: usize = 8;

/// The first bytes of the file.
pub(crate) const HEADER: [u8; 40] = {
    let magic = u64::from_ne_bytes(*b"appclus\n");
    let words = [magic, VERSION, SLOTS as u64, (SEAT_WORDS * WORD) as u64, SLOT_BYTES as u64];
    let mut bytes = [0; 40];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = words[at / WORD].to_ne_bytes()[at % WORD];
        at += 1;
    }
    bytes
};

/// The words of a seat.
pub(crate) mod seat {
    pub(crate) const STATE: usize = 0;
    pub(crate) const CONNECTIONS: usize = 1;
    pub(crate) const LAST_ACCEPT: usize = 2;

    pub(crate) const NOBODY: u64 = 0;
    pub(crate) const ACCEPTING: u64 = 1;
}

/// The words of a slot.
pub(crate) mod slot {
    pub(crate) const SEQUENCE: usize = 0;
    pub(crate) const PID: usize = 1;
    pub(crate) const STARTED: usize = 2;
    pub(crate) const RELEASE: usize = 3;
    pub(crate) const RELEASE_WORDS: usize = 13;
    pub(crate) const READY: usize = 16;
    pub(crate) const DRAIN: usize = 17;
    pub(crate) const ACCEPTS: usize = 24;
    pub(crate) const CONNECTIONS: usize = 25;
    pub(crate) const REFUSED: usize = 26;
    pub(crate) const REQUESTS: usize = 27;
    pub(crate) const IN_FLIGHT: usize = 28;
    pub(crate) const UNANSWERED: usize = 29;
    pub(crate) const RESPONSES: usize = 30;
    pub(crate) const RECEIVED: usize = 35;
    pub(crate) const SENT: usize = 36;
    pub(crate) const ENDED: usize = 37;
    pub(crate) const PANICS: usize = 40;
    pub(crate) const TIMEOUTS: usize = 41;
    pub(crate) const LATENCY_SUM: usize = 46;
    pub(crate) const LATENCY: usize = 48;
}

const _: () = assert!(slot::LATENCY + BUCKETS <= SLOT_WORDS, "the histogram fits into its page");
