//! The queue of connections that wait to be accepted, which all workers share.
//!
//! listen(2) sets its length for all who share the socket, and for good. Many servers call it on the descriptor that they are
//! handed, with a number of their own: 100, 128, 1024. Of a burst that the unit's `Backlog=` has room for, the kernel would
//! then drop the rest, and clients try again after a second; also after a rollback. This process is handed the listeners too,
//! for the socket names it as the service it starts. It never accepts; it sets the length anew.
//!
//! Not of unix sockets: there listen(2) also makes the caller the one whom clients see (unix(7), SO_PEERCRED).

use std::net::{SocketAddr, TcpListener};

/// Our own descriptors of the listeners.
#[derive(Debug, Default)]
pub(crate) struct AcceptQueue {
    /// Of any kind.
    handed: usize,
    listeners: Vec<TcpListener>,
}

/// What systemd has loaded for the socket unit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SocketUnit {
    /// `Backlog=`. The kernel makes of it what net.core.somaxconn allows.
    pub(crate) backlog: u32,
    /// `ListenStream=`, as systemd writes them.
    pub(crate) addresses: Vec<String>,
}

impl AcceptQueue {
    /// Of the listeners that systemd has handed to this process (sd_listen_fds(3)), which may be none.
    pub(crate) fn inherited() -> Self {
        let mut inherited = listenfd::ListenFd::from_env();
        let handed = inherited.len();
        let mut listeners = Vec::new();
        for index in 0..handed {
            match inherited.take_tcp_listener(index) {
                Ok(listener) => listeners.extend(listener),
                // To take it as what it is closes it.
                Err(_) => drop(inherited.take_unix_listener(index)),
            }
        }
        Self { handed, listeners }
    }

    /// Whether systemd had a listener for us, which it then has for workers, too.
    pub(crate) fn was_handed_any(&self) -> bool {
        self.handed > 0
    }

    /// Gives the queues their length again, which a worker may have changed. A listener that the unit no longer names is
    /// closed: the last one to have it open would keep its clients waiting.
    pub(crate) fn tend(&mut self, unit: &SocketUnit) {
        self.listeners.retain(|listener| {
            let names = |address: &SocketAddr| unit.addresses.iter().any(|named| may_mean(named, *address));
            listener.local_addr().as_ref().is_ok_and(names)
        });
        let length = i32::try_from(unit.backlog).unwrap_or(i32::MAX);
        for listener in &self.listeners {
            if let Err(error) = rustix::net::listen(listener, length) {
                tracing::warn!("failed to set the length of the shared queue of connections: {error}");
            }
        }
    }
}

/// An address that cannot be read (one with a network interface) may be any.
fn may_mean(named: &str, address: SocketAddr) -> bool {
    !named.starts_with(['/', '@']) && named.parse().is_ok_and(|named: SocketAddr| named == address)
        || named.contains('%')
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    fn unit(listener: &TcpListener, backlog: u32) -> SocketUnit {
        SocketUnit { backlog, addresses: vec![listener.local_addr().unwrap().to_string()] }
    }

    /// Whether the queue takes so many connections before one is accepted.
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
        let mut queue = AcceptQueue { handed: 1, listeners: vec![listener.try_clone().unwrap()] };
        queue.tend(&unit(&listener, 64));
        rustix::net::listen(&listener, 4).unwrap();
        assert!(!takes(&listener, 32));
        queue.tend(&unit(&listener, u32::MAX));
        assert!(takes(&listener, 32));
    }

    #[test]
    fn a_listener_that_the_unit_does_not_name_is_closed() {
        let [one, other] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = other.local_addr().unwrap();
        let named = unit(&one, 64);
        let mut queue = AcceptQueue { handed: 2, listeners: vec![one, other] };
        queue.tend(&named);
        assert_eq!(queue.listeners.len(), 1);
        TcpStream::connect(address).unwrap_err();
    }

    #[test]
    fn what_systemd_writes_is_compared_as_addresses() {
        let address = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80));
        for (named, may) in
            [("[::1]:80", true), ("[0:0::1]:80", true), ("[::1]:81", false), ("/run/a", false), ("@a", false)]
        {
            assert_eq!(may_mean(named, address), may, "{named}");
        }
        assert!(may_mean("[fe80::1%eth0]:80", address));
    }
}
