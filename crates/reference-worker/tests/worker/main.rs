//! The reference worker as a process, started as systemd starts it, on a socket of the test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod descriptors;
mod drain;
mod faults;
mod memory;
mod process;
mod spread;
mod start;
mod supervisor;
