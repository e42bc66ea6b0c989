//! Takes connections from the shared queue.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};

/// Takes one connection from the queue.
///
/// When the process or the system has run out of descriptors or memory, the queue is left to the
/// siblings for a moment: nothing in it is lost, and trying at once would only burn the CPU.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut starved = false;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_the_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                if !starved {
                    tracing::warn!(%error, "no connection can be accepted, they wait in the queue");
                }
                starved = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// How many connections a worker holds at once: seven eighths of the descriptors it may have
/// (`LimitNOFILE=`), and 32 less at least. The rest is for what handlers open and for talking to systemd; a worker that
/// cannot feed its watchdog for want of a descriptor would be killed. Who comes then waits in the queue.
pub(crate) fn slots() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let most = |limit: usize| limit.saturating_sub((limit / 8).max(32)).max(1);
    limit.map_or(usize::MAX, most)
}

/// Whether accept(2) reports what became of one connection, as opposed to a shortage here.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, TimedOut};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | TimedOut)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_shortage_is_not_of_the_connection() {
        assert!(is_of_the_connection(&Errno::CONNABORTED.into()));
        assert!(!is_of_the_connection(&Errno::MFILE.into()));
        assert!(!is_of_the_connection(&Errno::NOBUFS.into()));
    }
}
