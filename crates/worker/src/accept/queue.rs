//! The queue of connections that the kernel has completed and nobody has accepted.
#![expect(unsafe_code, reason = "getsockopt(2) with TCP_INFO, and the registration with epoll(7)")]

use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use rustix::net::SocketFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

/// The queue of a listener.
#[derive(Debug)]
pub(crate) struct Queue(AsyncFd<TcpListener>);

impl Queue {
    /// The queue of this listener, which must be non-blocking.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        // Connections inherit it (NoDelay= in the socket unit sets the same): the second of two answers must not wait
        // for the peer's delayed acknowledgement of the first.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        // SAFETY: the descriptor is the listener's own, which nobody can take out again.
        Ok(Self(unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?))
    }

    /// How many connections there are. Waits for one if it is known that there is none.
    ///
    /// # Errors
    /// What getsockopt(2) says, for a socket that is not one of TCP.
    pub(crate) async fn length(&self) -> io::Result<u64> {
        let mut ready = self.0.readable().await?;
        let length = length(self.0.get_ref())?;
        if length == 0 {
            ready.clear_ready();
        }
        Ok(length)
    }

    /// Takes one. `WouldBlock` when a sibling was quicker.
    pub(crate) async fn take(&self) -> io::Result<TcpStream> {
        let mut ready = self.0.readable().await?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let taken = ready.try_io(|listener| Ok(rustix::net::accept_with(listener.get_ref(), flags)?));
        let stream = taken.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))?;
        TcpStream::from_std(stream.into())
    }
}

fn length(listener: &TcpListener) -> io::Result<u64> {
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
        let queue = Queue::new(listener).unwrap();
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
