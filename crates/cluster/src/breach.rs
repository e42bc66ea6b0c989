//! Which part of its contract, app-cluster-worker(7), a worker has not kept, as far as its end shows.

use std::fmt;

/// Why systemd ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// The worker did not send READY=1.
    NeverReady,
    /// The worker sent READY=1, but not from its main process. systemd ignores other processes
    /// (`NotifyAccess=main`). systemd 252 says so in the journal, 257 only at debug level.
    Unheard,
    /// The worker became ready, and then never sent WATCHDOG=1.
    NeverFed,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverReady => {
                "a worker serves on descriptor 3, not on a port of its own, and then its main process says READY=1, see \
                 app-cluster-worker(7)"
            }
            Self::Unheard => {
                "a child of its main process said READY=1, and systemd hears the main process only: a script has to start \
                 the program with `exec`, see app-cluster-worker(7)"
            }
            Self::NeverFed => {
                "it did not say WATCHDOG=1 after READY=1: one that does not know the watchdog needs WatchdogSec=0, see \
                 app-cluster-worker(7)"
            }
        })
    }
}
