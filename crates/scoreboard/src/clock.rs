//! The two clocks of the board.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC (clock_gettime(2)), the clock of [`Seat::last_accept`](crate::Seat::last_accept). It
/// stands still while the machine is suspended, and so do the workers.
pub fn monotonic() -> Duration {
    Duration::from_nanos(monotonic_ns())
}

/// CLOCK_BOOTTIME (clock_gettime(2)), the clock of all other times on the board. It continues while the
/// machine is suspended.
pub fn boottime() -> Duration {
    Duration::from_nanos(boottime_ns())
}

pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

pub(crate) fn boottime_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// The time in nanoseconds. Both clocks count from the boot, so 64 bits are enough for 584 years.
fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}
