//! The clocks of the system.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster::moment::{Moment, Now, usec};

/// The current time of both clocks.
pub(crate) fn now() -> Now {
    Now { moment: monotonic(), epoch: since_epoch(SystemTime::now()) }
}

/// The time since the Unix epoch, or zero if `time` is before it.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time since the Unix epoch in microseconds.
pub(crate) fn epoch_usec(time: SystemTime) -> u64 {
    usec(since_epoch(time))
}

/// CLOCK_MONOTONIC, the clock of systemd's `…Monotonic` properties.
fn monotonic() -> Moment {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or_default())
}
