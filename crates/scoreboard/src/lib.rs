//! The board on which every worker of a cluster counts what it does. Any user of the machine may read it.
//!
//! The board is one file in shared memory (`/run` is a tmpfs). A worker counts with one atomic addition and
//! no system call. A reader disturbs no worker. If a worker was killed, its last figures stay readable.
//!
//! ```no_run
//! use scoreboard::{Board, DEFAULT_PATH, Instance, Slot};
//!
//! # fn serve(instance: Instance) {
//! // Without a board, a worker serves all the same and counts in private memory.
//! # }
//! ```
//!
//! # Layout, version 1
//!
//! The board consists of 64-bit words in the machine's native byte order. The file's name ends with the
//! version. So during an upgrade of the package, workers of two versions can run side by side, each on its
//! own board.
//!
//! ```text
//!      0  header, one page
//!         0 magic  8 version (1)  16 slots (512)  24 bytes of a seat (64)  32 bytes of a slot (4096)
//!         64 the highest instance that has ever claimed a slot
//!   4096  table of seats, a cache line for each instance from 1 to 512
//!         0 state (0 empty, 1 accepting)  8 connections now  16 CLOCK_MONOTONIC of the last accept, ns
//!  36864  slots, a page for each instance
//!         0 sequence: even, or odd while a process claims the slot; 0 if none ever has
//!         8 process id  16 CLOCK_BOOTTIME of the claim, ns  24 release, UTF-8 and zeros, 104 bytes
//!       128 CLOCK_BOOTTIME of ready, ns, or 0  136 CLOCK_BOOTTIME when the drain began, ns, or 0
//!       192 accepts  200 connections now  208 connections refused
//!       216 requests begun  224 requests in flight  232 requests that ended without a response
//!       240 responses 1xx … 5xx (5 words)
//!       280 bytes received  288 bytes sent
//!       296 connections that ended during the drain: finished, idle, forced (3 words)
//!       320 panics of handlers
//!       328 timeouts: first byte, head, idle, body, write (5 words)
//!       368 sum of all latencies, µs  384 latency histogram (210 words, see `Histogram`)
//! ```
//!
//! All other words are zero.
//!
//! # Which process has a slot
//!
//! A process that has claimed a slot holds two open file description locks (fcntl(2)) on bytes of the slot
//! itself. The lock on everything after the sequence says that this process may write. The lock on the
//! sequence says that the writer is alive. The kernel drops both when the process dies, however it dies. So a
//! reused process id deceives no reader. The process takes the second lock while the sequence is odd. So if
//! the sequence is even and locked, the slot is held by the very process that it names.
//!
//! The locks belong to the open file description, not to the process. After a fork, the child also holds
//! them, and with them the slot, until it executes another program, because the board is closed on exec. This
//! is so even if its parent is dead. What such a child counts is counted on this slot.
//!
//! A reader checks only for write locks, so a user who may only read the file cannot make a dead worker look
//! alive. But a *read* lock prevents a worker from claiming its slot. The worker then counts in private
//! memory. So give access to the directory only to users who may cause that.
//!
//! # Reading
//!
//! [`Reader`] copies pages with pread(2) and never maps them. If a process has a file mapped, truncating the
//! file can kill it (SIGBUS). Copying avoids that, and reading a hole allocates nothing. [`Reader`] trusts
//! nothing that it reads.
//!
//! Workers map the file, but they first make the kernel allocate the pages. So if `/run` is full, the worker
//! gets an error when it starts, and is not killed later. Truncating the file later does kill the workers.
//! Only their own user and root can do that.
//!
//! A single figure is never torn, because the kernel copies an aligned word as a whole. Two figures may be
//! from different moments: a request may already count as begun and not yet as in flight.

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
mod sibling;
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
pub use seat::Seat;
pub use sibling::Sibling;
pub use slot::Slot;
pub use snapshot::{Counters, Identity, Record, Snapshot, parse};
