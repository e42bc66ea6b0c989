//! The board on which every worker of a cluster counts what it does, and which anybody may read.
//!
//! It is one file in shared memory (`/run` is a tmpfs): a worker counts with one atomic addition and no system
//! call, a reader disturbs nobody, and the last figures of a worker that was killed stay readable.
//!
//! ```no_run
//! use scoreboard::{Board, DEFAULT_PATH, Instance, Slot};
//!
//! # fn serve(instance: Instance) {
//! // A worker serves without a board as well, and counts for itself.
//! let slot = Board::open(DEFAULT_PATH)
//!     .and_then(|board| board.claim(instance, "1.3.0"))
//!     .unwrap_or_else(|_| Slot::private(instance, "1.3.0"));
//! slot.ready();
//! let connection = slot.accepted();
//! slot.request_begun().answered(200);
//! drop(connection);
//! # }
//! ```
//!
//! # Layout, version 1
//!
//! Everything is a 64-bit word in the machine's own byte order. The file's name ends with the version: while a
//! package is upgraded, workers of two versions live side by side, each on its own board.
//!
//! ```text
//!      0  header, one page
//!         0 magic  8 version (1)  16 slots (512)  24 bytes of a seat (64)  32 bytes of a slot (4096)
//!         64 the highest instance that ever claimed a slot
//!   4096  table of seats, a cache line for each instance from 1 to 512
//!         0 state (0 nobody, 1 accepting)  8 connections now  16 CLOCK_MONOTONIC of the last accept, ns
//!  36864  slots, a page for each instance
//!         0 sequence: even, or odd while a process claims the slot; 0 if none ever did
//!         8 process id  16 CLOCK_BOOTTIME of the claim, ns  24 release, UTF-8 and zeros, 104 bytes
//!       128 CLOCK_BOOTTIME of ready, ns, or 0  136 CLOCK_BOOTTIME when the drain began, ns, or 0
//!       192 accepts  200 connections now  208 connections refused
//!       216 requests begun  224 requests in flight  232 requests that ended without a response
//!       240 responses 1xx … 5xx (5 words)
//!       280 bytes received  288 bytes sent
//!       296 connections that ended in the drain: finished, idle, forced (3 words)
//!       320 panics of handlers
//!       328 timeouts: first byte, head, idle, body, write (5 words)
//!       368 sum of all latencies, µs  384 latency histogram (210 words, see `Histogram`)
//! ```
//!
//! What is not mentioned is zero.
//!
//! # Who is there
//!
//! A process that has claimed a slot holds two open file description locks on it (fcntl(2)), on bytes of the slot
//! itself: the one on everything behind the sequence says who may write, the one on the sequence that its writer
//! lives. The kernel drops them when the process dies, however it dies, so nobody is deceived by a process id that
//! is used again. The second is taken while the sequence is odd: so a slot with an even sequence and a lock on it
//! is held by the very process that it names.
//!
//! The locks belong to the description, not to the process: a child that was forked after the claim and has
//! not executed another program holds them too, and the slot with them, even when its parent is dead; what it counts
//! is counted there. (The board is closed on exec.)
//!
//! Only writers are asked for, so whoever may merely read the file cannot make a dead worker look alive. But
//! a *read* lock of theirs keeps a worker from claiming its slot, who then counts for itself: let only those into
//! the directory who may do that.
//!
//! # Who reads
//!
//! [`Reader`] copies pages with pread(2) and never maps them: a file that is cut short would kill a process that
//! has it mapped (SIGBUS), and reading a hole allocates nothing. It believes nothing that it reads. Workers
//! map the file, but have the kernel allocate the pages first, so that a full `/run` is an error on the way
//! up and no death later; a file that is cut short later does kill them, and only their own user and root can.
//!
//! A single figure is never torn, for the kernel copies aligned words as a whole. Two figures are not from the
//! same instant: a request may be counted as begun and not yet as in flight.

mod board;
mod claim;
mod clock;
mod error;
mod file;
mod guard;
mod histogram;
mod instance;
mod kind;
mod layout;
mod process;
mod reader;
mod seat;
mod slot;
mod snapshot;
mod sys;

pub use board::Board;
pub use clock::{boottime, monotonic};
pub use error::Error;
pub use guard::{Connection, Request};
pub use histogram::Histogram;
pub use instance::Instance;
pub use kind::{Ended, Timeout};
pub use layout::{DEFAULT_PATH, VERSION};
pub use reader::Reader;
pub use seat::{Seat, Sibling};
pub use slot::Slot;
pub use snapshot::{Counters, Identity, Record, Snapshot, parse};
