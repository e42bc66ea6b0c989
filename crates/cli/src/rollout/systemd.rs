//! What systemd expects of the process behind `ExecReload=`: that it says in time how much longer it takes.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::output;

/// Whether systemd waits for this process and limits its time: it tells the command behind `ExecReload=` which the main process
/// of the service is (systemd.exec(5), `$MAINPID`). `NOTIFY_SOCKET` alone is inherited from any service, such as an agent of CI.
pub(crate) fn is_caller() -> bool {
    ["NOTIFY_SOCKET", "MAINPID"].iter().all(|name| std::env::var_os(name).is_some())
}

/// Asks systemd for the time of one more step, `sd_notify(3)`; without systemd it does nothing.
pub(super) fn extend_timeout(step: Duration) {
    const MARGIN: Duration = Duration::from_secs(5);
    // As text: the crate's own variant ends at 71 minutes.
    let usec = u64::try_from((step + MARGIN).as_micros()).unwrap_or(u64::MAX);
    let longer = format!("EXTEND_TIMEOUT_USEC={usec}");
    if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&longer)]) {
        output::complain(&format!("cannot ask systemd for more time, the reload may be cut off: {error}\n"));
    }
}
