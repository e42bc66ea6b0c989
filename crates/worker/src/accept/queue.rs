//! The queue of connections that the kernel has completed and nobody has accepted.
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

/// The queue of a listener.
#[derive(Debug)]
pub(crate) struct Queue {
    /// epoll tells of each connection that comes, and not whether there are any.
    arrivals: AsyncFd<Listener>,
    /// Nothing was there at the last look, and nothing has come since that was heard of.
    is_empty: bool,
}

impl Queue {
    /// The queue of this listener, which must be non-blocking.
    pub(crate) fn new(listener: Listener) -> io::Result<Self> {
        if let Listener::Tcp(listener) = &listener {
            // Connections inherit it (NoDelay= in the socket unit sets the same): the second of two answers must not wait
            // for the peer's delayed acknowledgement of the first.
            rustix::net::sockopt::set_tcp_nodelay(listener, true)?;
            keep_alive(listener)?;
            keep_little_unsent(listener)?;
        }
        // SAFETY: the descriptor is the listener's own, which nobody can take out again.
        let arrivals = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?;
        Ok(Self { arrivals, is_empty: false })
    }

    /// Waits until a connection has come since this was asked last.
    pub(crate) async fn arrival(&mut self) -> io::Result<()> {
        self.arrivals.readable().await?.clear_ready();
        self.is_empty = false;
        Ok(())
    }

    /// How many connections there are. Waits for one if it is known that there is none.
    ///
    /// # Errors
    /// What getsockopt(2) says, for a socket that is not one of TCP: the kernel does not tell how many wait at it.
    pub(crate) async fn length(&mut self) -> io::Result<u64> {
        self.filled().await?;
        let length = length(self.arrivals.get_ref())?;
        self.is_empty = length == 0;
        Ok(length)
    }

    /// Takes one. `WouldBlock` when a sibling was quicker. Waits for one if it is known that there is none.
    pub(crate) async fn take(&mut self) -> io::Result<Accepted> {
        self.filled().await?;
        // There may be no end of them, and others have something to do as well.
        tokio::task::coop::consume_budget().await;
        let taken = take(self.arrivals.get_ref());
        self.is_empty = taken.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        taken
    }

    /// Waits for a connection if it is known that there is none.
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

/// Connections inherit this as well: a peer that went without a word is found out within two minutes, on a WebSocket too,
/// which has no other timer (tcp(7)).
fn keep_alive(listener: &TcpListener) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_tcp_keepidle(listener, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(listener, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(listener, 4)?;
    sockopt::set_socket_keepalive(listener, true)?;
    Ok(())
}

/// And this: the kernel takes a piece of an answer as soon as it has little left that is not on its way. By default it waits
/// until a third of its buffer is empty, which is of megabytes: a client that reads slowly, but reads, would look for
/// seconds like one that does not.
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
    // Of a listener the kernel tells the length of its queue here (tcp_get_info in net/ipv4/tcp.c).
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
