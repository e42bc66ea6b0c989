//! What systemd expects of the process behind `ExecReload=`: it has to say in time how much longer it needs.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::output;

/// Whether systemd waits for this process and limits its time. systemd gives the command behind `ExecReload=` the
/// main process of the service (systemd.exec(5), `$MAINPID`). `NOTIFY_SOCKET` alone does not prove it: a process
/// inherits that from any service, such as a CI agent.
pub(crate) fn is_caller() -> bool {
    ["NOTIFY_SOCKET", "MAINPID"].iter().all(|name| std::env::var_os(name).is_some())
}

/// Asks systemd for the time of one more step, `sd_notify(3)`. Without systemd, this does nothing.
pub(super) fn extend_timeout(step: Duration) {
    const MARGIN: Duration = Duration::from_secs(5);
    // The crate's own variant cannot express more than 71 minutes.
    let usec = u64::try_from((step + MARGIN).as_micros()).unwrap_or(u64::MAX);
    let longer = format!("EXTEND_TIMEOUT_USEC={usec}");
    if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&longer)]) {
        output::complain(&format!("cannot ask systemd for more time, the reload may be cut off: {error}\n"));
    }
}
