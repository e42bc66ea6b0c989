//! The accept queue: connections that the kernel has completed and no worker has accepted.
#![expect(
    unsafe_code,
    reason = "getsockopt(2) with TCP_INFO, setsockopt(2) with TCP_NOTSENT_LOWAT, and the registration with epoll(7)"
)]

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::listener::Listener;
use crate::socket::{Accepted, Socket};

/// The accept queue of a listener.
#[derive(Debug)]
pub(crate) struct Queue {
    /// epoll reports each connection that arrives. It does not report whether any are in the queue.
    arrivals: AsyncFd<Listener>,
    /// The queue was empty at the last look, and epoll has reported nothing since.
    is_empty: bool,
}

impl Queue {
    /// The queue of this listener, which must be non-blocking.
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        if let Listener::Tcp(listener) = &listener {
            // Connections inherit it (NoDelay= in the socket unit sets the same). Without it, the second of
            // two responses could wait for the peer's delayed acknowledgement of the first.
            rustix::net::sockopt::set_tcp_nodelay(listener, true)?;
            keep_alive(listener)?;
            keep_little_unsent(listener)?;
        }
        // SAFETY: the descriptor is the listener's own, and no other code can take it out.
        let arrivals = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?;
        Ok(Self { arrivals, is_empty: false })
    }

    /// Waits until a connection has arrived since the last call.
    pub(crate) async fn arrival(&mut self) -> io::Result<()> {
        self.arrivals.readable().await?.clear_ready();
        self.is_empty = false;
        Ok(())
    }

    /// How many connections are in the queue. If the queue is known to be empty, waits for one.
    ///
    /// # Errors
    /// The error of getsockopt(2) if the socket is not a TCP socket: for others the kernel does not tell the
    /// length of the queue.
    pub(crate) async fn length(&mut self) -> io::Result<u64> {
        self.filled().await?;
        let length = length(self.arrivals.get_ref())?;
        self.is_empty = length == 0;
        Ok(length)
    }

    /// Takes one connection. Returns `WouldBlock` if a sibling was faster. If the queue is known to be empty,
    /// waits for one.
    pub(crate) async fn take(&mut self) -> io::Result<Accepted> {
        self.filled().await?;
        // The queue may never become empty, and the other tasks of the thread need time as well.
        tokio::task::coop::consume_budget().await;
        let taken = take(self.arrivals.get_ref());
        self.is_empty = taken.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        taken
    }

    /// If the queue is known to be empty, waits for a connection.
    pub(crate) async fn filled(&mut self) -> io::Result<()> {
        if self.is_empty { self.arrival().await } else { Ok(()) }
    }
}

fn take(listener: &Listener) -> io::Result<Accepted> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    match listener {
        Listener::Tcp(listener) => {
            let (connection, peer) = acceptfrom_with(listener, flags)?;
            Ok(Accepted {
                socket: Socket::tcp(connection)?,
                peer: peer.and_then(|peer| peer.try_into().ok()),
            })
        }
        Listener::Unix(listener) => {
            Ok(Accepted { socket: Socket::unix(accept_with(listener, flags)?)?, peer: None })
        }
    }
}

/// Connections inherit this as well. So the worker finds out within two minutes that a peer is gone without a
/// FIN. It does so on a WebSocket too, which has no other timer (tcp(7)).
fn keep_alive(listener: &TcpListener) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_tcp_keepidle(listener, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(listener, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(listener, 4)?;
    sockopt::set_socket_keepalive(listener, true)?;
    Ok(())
}

/// Connections inherit this as well. With it, the kernel accepts more of a response as soon as little of the
/// earlier part is unsent. By default it waits until a third of its buffer is free, and the buffer has
/// megabytes. So a client that reads slowly would look for seconds like one that does not read.
fn keep_little_unsent(listener: &TcpListener) -> io::Result<()> {
    let bytes: libc::c_int = 128 * 1024;
    let size = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap_or(0);
    let option = libc::TCP_NOTSENT_LOWAT;
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads `size` bytes of `bytes`.
    let result = unsafe {
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, option, (&raw const bytes).cast(), size)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn length(listener: &Listener) -> io::Result<u64> {
    // SAFETY: zero is a value of each of its fields.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut size = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or(0);
    let listener = listener.as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, and the kernel writes at most `size` bytes to `info`.
    let result = unsafe {
        libc::getsockopt(listener, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut size)
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // For a listener, the kernel reports the length of its accept queue here (tcp_get_info in
    // net/ipv4/tcp.c).
    Ok(info.tcpi_unacked.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_as_long_as_nobody_takes_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Queue::new(Listener::Tcp(listener)).unwrap();
        let _clients: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        for length in (1..=5).rev() {
            assert_eq!(queue.length().await.unwrap(), length);
            queue.take().await.unwrap();
        }
        assert_eq!(queue.length().await.unwrap(), 0);
        let later = tokio::time::timeout(std::time::Duration::from_millis(20), queue.length());
        assert!(later.await.is_err(), "from now on it waits for the next one");
    }
}
