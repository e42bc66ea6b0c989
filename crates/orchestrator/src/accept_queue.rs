//! The queue of connections that wait to be accepted, which all workers share.
//!
//! listen(2) sets its length for all who share the socket, and for good. Many servers call it on the descriptor that they are
//! handed, with a number of their own: 100, 128, 1024. A burst of connections that the unit's `Backlog=` has room for would
//! then be refused by the kernel, of every worker, and also after a rollback. This process is handed the listeners too, for
//! the socket names it as the service it starts. It never accepts; it sets the length anew.

use std::os::fd::{AsFd as _, OwnedFd};

/// Our own descriptors of the listeners.
#[derive(Debug, Default)]
pub(crate) struct AcceptQueue {
    listeners: Vec<OwnedFd>,
    length: i32,
}

impl AcceptQueue {
    /// Of the listeners that systemd has handed to this process (sd_listen_fds(3)), which may be none.
    pub(crate) fn inherited() -> Self {
        let mut inherited = listenfd::ListenFd::from_env();
        let listeners = (0..inherited.len()).filter_map(|index| {
            let tcp = inherited.take_tcp_listener(index).ok().flatten().map(OwnedFd::from);
            // What is of another kind stays where it is, and is closed by being taken as what it is.
            tcp.or_else(|| inherited.take_unix_listener(index).ok().flatten().map(OwnedFd::from))
        });
        Self { listeners: listeners.collect(), length: i32::MAX }
    }

    /// From now on it has to be so long: `Backlog=` of the socket unit (systemd.socket(5)). The kernel makes of it what
    /// net.core.somaxconn allows.
    pub(crate) fn set_length(&mut self, backlog: u32) {
        self.length = i32::try_from(backlog).unwrap_or(i32::MAX);
        self.restore();
    }

    /// Gives the queue its length again. A worker that has just become ready may have changed it.
    pub(crate) fn restore(&self) {
        for listener in &self.listeners {
            if let Err(error) = rustix::net::listen(listener.as_fd(), self.length) {
                tracing::warn!("failed to set the length of the shared queue of connections: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// Whether the queue takes so many connections that nobody accepts. The kernel takes one more than it says.
    fn takes(listener: &TcpListener, connections: usize) -> bool {
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let waiting: Vec<_> = (0..connections).map_while(connect).collect();
        for _ in &waiting {
            listener.accept().unwrap();
        }
        waiting.len() == connections
    }

    #[test]
    fn a_queue_that_was_shortened_gets_its_length_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut queue = AcceptQueue { listeners: vec![listener.try_clone().unwrap().into()], length: 1 };
        queue.set_length(64);
        rustix::net::listen(&listener, 4).unwrap();
        assert!(!takes(&listener, 32));
        queue.restore();
        assert!(takes(&listener, 32));
        queue.set_length(u32::MAX);
        assert_eq!(queue.length, i32::MAX);
    }
}
