//! The messages to systemd (sd_notify(3)). Without `NOTIFY_SOCKET` none is sent.
//!
//! Nothing here waits. PID 1 may not read for a while, because it is stopped, or reloads thousands of units.
//! Its socket takes some more datagrams, from all services together. The next one would block the thread that
//! serves.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

/// Says that the worker accepts connections from now on.
pub(crate) fn ready(addresses: &str) {
    let status = format!("accepting connections on {addresses}");
    insist(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Reports the progress of the drain, and asks systemd for `extension` more time.
///
/// STOPPING=1 is not sent. If an operator sends SIGTERM to a worker by hand, systemd would then treat the
/// worker as stopped on purpose. The orchestrator tells the two apart: it checks whether the unit left
/// `active` before its process ended.
pub(crate) fn draining(connections: usize, holds: usize, extension: Duration) {
    let tasks = if holds > 0 { format!(", {}", count(holds, "background task")) } else { String::new() };
    let status = format!("draining, {}{tasks}", count(connections, "connection"));
    // As text, because the crate's own variant stops at 71 minutes.
    let usec = u64::try_from(extension.as_micros()).unwrap_or(u64::MAX);
    tell(&[NotifyState::Status(&status), NotifyState::Custom(&format!("EXTEND_TIMEOUT_USEC={usec}"))]);
}

/// Asks the orchestrator to replace this worker. The orchestrator reads the status of its workers, which
/// systemd keeps for as long as the process lives.
pub(crate) fn recycle(reason: &str) {
    insist(&[NotifyState::Status(&format!("recycle: {reason}"))]);
}

/// Says how the drain ended.
pub(crate) fn drained(sentence: &str) {
    tell(&[NotifyState::Status(sentence)]);
}

/// Feeds the watchdog (`WatchdogSec=`) for as long as the handle lives.
///
/// The task runs among those that serve. On a current-thread runtime, a handler that blocks the thread
/// starves it. systemd then ends the process with SIGABRT and starts another.
///
/// At first it feeds more often, at intervals that double. A rollout continues only after a worker has fed
/// its watchdog some time after READY=1. Only then is the worker known not to hang.
pub(crate) fn feed_watchdog() -> Option<AbortOnDropHandle<()>> {
    let timeout = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero())?;
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        const FIRST: Duration = Duration::from_millis(25);
        let mut pause = FIRST.min(timeout / 2);
        loop {
            if tell(&[NotifyState::Watchdog]) {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(timeout / 2);
            } else {
                tokio::time::sleep(AGAIN.min(timeout / 2)).await;
            }
        }
    })))
}

/// `1 connection`, `2 connections`.
pub(crate) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// When to send a message again for which systemd had no room.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends a message that is repeated anyway and so may be lost once. Returns whether systemd had room for it.
fn tell(state: &[NotifyState<'_>]) -> bool {
    send(&message(state))
}

/// Sends a message that is sent only once, until systemd has room for it.
fn insist(state: &[NotifyState<'_>]) {
    let message = message(state);
    if !send(&message) {
        tokio::spawn(async move {
            while !send(&message) {
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
}

fn message(state: &[NotifyState<'_>]) -> String {
    state.iter().map(|state| format!("{state}\n")).collect()
}

fn send(message: &str) -> bool {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return true };
    match send_to(&socket, message) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
        Err(error) => {
            tracing::warn!(%error, "failed to notify systemd, which may now end this worker as hung");
        }
        Ok(()) => {}
    }
    true
}

/// # Errors
/// [`io::ErrorKind::WouldBlock`]: the receiver has no room for it.
fn send_to(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().split_first() {
        Some((b'@', name)) => net::SocketAddr::from_abstract_name(name)?,
        _ => net::SocketAddr::from_pathname(socket)?,
    };
    let datagrams = UnixDatagram::unbound()?;
    datagrams.set_nonblocking(true)?;
    datagrams.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_wait_for_a_receiver_that_does_not_read() {
        let name = format!("app-cluster-test-{}", std::process::id());
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        let socket = format!("@{name}");
        let mut told = 0;
        let error = loop {
            match send_to(OsStr::new(&socket), "WATCHDOG=1\n") {
                Ok(()) => told += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(told > 0);
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG=1\n");
        send_to(OsStr::new(&socket), "READY=1\n").unwrap();
    }

    #[test]
    fn a_line_each() {
        assert_eq!(message(&[NotifyState::Ready, NotifyState::Status("x")]), "READY=1\nSTATUS=x\n");
    }
}
