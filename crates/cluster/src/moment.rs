//! Time, which enters from outside.

use std::time::Duration;

/// A moment by CLOCK_MONOTONIC, which cannot be set. It has the origin of systemd's `…Monotonic` properties.
pub type Moment = Duration;

/// What the clocks show when something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For everything that is waited for or compared.
    pub moment: Moment,
    /// For operators to read: the time since the Unix epoch.
    pub epoch: Duration,
}

impl Now {
    /// Microseconds since the Unix epoch.
    pub fn epoch_usec(&self) -> u64 {
        usec(self.epoch)
    }

    /// Microseconds since the Unix epoch, `span` from now.
    fn epoch_usec_in(&self, span: Duration) -> u64 {
        usec(self.epoch.saturating_add(span))
    }

    /// This moment in microseconds since the Unix epoch.
    pub fn epoch_usec_at(&self, moment: Moment) -> u64 {
        match moment.checked_sub(self.moment) {
            Some(later) => self.epoch_usec_in(later),
            None => usec(self.epoch.saturating_sub(self.moment.saturating_sub(moment))),
        }
    }
}

/// A span in whole microseconds.
pub fn usec(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
