//! What systemd expects of the process behind `ExecReload=`: that it says in time how much longer it takes.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::output;

/// Whether systemd waits for this process and limits its time.
pub(crate) fn is_caller() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Asks systemd for the time of one more step, `sd_notify(3)`; without systemd it does nothing.
pub(super) fn extend_timeout(step: Duration) {
    const MARGIN: Duration = Duration::from_secs(5);
    let usec = u32::try_from((step + MARGIN).as_micros()).unwrap_or(u32::MAX);
    if let Err(error) = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(usec)]) {
        output::complain(&format!("cannot ask systemd for more time, the reload may be cut off: {error}\n"));
    }
}
