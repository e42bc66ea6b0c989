//! What systemd is told (sd_notify(3)). Without `NOTIFY_SOCKET` all of it is silent.

use std::net::SocketAddr;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

/// Says that connections are accepted from now on.
pub(crate) fn ready(address: SocketAddr) {
    let status = format!("accepting connections on {address}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Says how far the drain is, and asks systemd to let it go on for `extension` more.
///
/// STOPPING=1 is not sent. systemd would then take a worker that somebody sent SIGTERM by hand for
/// one that was stopped on purpose; the orchestrator tells the two apart by whether the unit left
/// `active` before its process ended.
pub(crate) fn draining(connections: usize, holds: usize, extension: Duration) {
    let tasks = if holds > 0 { format!(", {}", count(holds, "background task")) } else { String::new() };
    let status = format!("draining, {}{tasks}", count(connections, "connection"));
    let extension = u32::try_from(extension.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(extension)]);
}

/// Asks the orchestrator to be replaced. It reads the status of its workers, which systemd keeps for as long as the
/// process lives.
pub(crate) fn recycle(reason: &str) {
    tell(&[NotifyState::Status(&format!("recycle: {reason}"))]);
}

/// Says how the drain ended.
pub(crate) fn drained(sentence: &str) {
    tell(&[NotifyState::Status(sentence)]);
}

/// Feeds the watchdog (`WatchdogSec=`) for as long as the handle lives.
///
/// The task runs among those that serve: on a current-thread runtime a handler that blocks the
/// thread starves it, systemd ends the process with SIGABRT and starts another.
///
/// In the beginning it feeds more often, at intervals that double: a rollout goes on only when a worker
/// has fed it some time after it became ready, and so is known not to hang.
pub(crate) fn feed_watchdog() -> Option<AbortOnDropHandle<()>> {
    let timeout = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero())?;
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        const FIRST: Duration = Duration::from_millis(25);
        let mut pause = FIRST.min(timeout / 2);
        loop {
            tell(&[NotifyState::Watchdog]);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(timeout / 2);
        }
    })))
}

/// `1 connection`, `2 connections`.
pub(crate) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told of this worker's state, it may end the worker as hung");
    }
}
