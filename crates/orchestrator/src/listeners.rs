//! The listening sockets that systemd passes to this process, because the socket unit starts its service.
//! This process never accepts a connection.
//!
//! **They show where systemd listens.** When a socket unit starts, systemd opens its addresses, and passes
//! this process the sockets that it has. While the unit is active, systemd opens no further address. When
//! systemd reloads the unit, it closes a socket whose address the unit no longer names. There are two cases
//! in which systemd does not listen on an address of the unit: it did not pass us the socket, or the unit did
//! not name the address for a while (docs/decisions/0029).
//!
//! **They keep the accept queue long.** All workers share the queue of connections that wait to be accepted.
//! listen(2) sets its length permanently, for all processes that share the socket. Many servers call it on
//! the socket that they are passed, with a number of their own: 100, 128, 1024. In a burst that the unit's
//! `Backlog=` has room for, the kernel would then drop connections, and clients would retry after a second.
//! This would last even after a rollback. So this process sets the length again. It does not do so for unix
//! sockets: there listen(2) also makes the caller the process that clients see (unix(7), SO_PEERCRED).
//!
//! **They show whether workers accept.** See [`queues`].

mod queues;
mod table;

use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;

use cluster::unit::ActiveState;

pub(crate) use self::queues::Queues;

/// The sockets that systemd has passed to this process.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// The addresses that systemd still listens on.
    addresses: Vec<Address>,
    /// Our own descriptors.
    queues: Queues,
}

/// The socket unit as systemd has loaded it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SocketUnit {
    pub(crate) state: ActiveState,
    pub(crate) is_masked: bool,
    /// `Backlog=`. The kernel limits it to net.core.somaxconn.
    pub(crate) backlog: u32,
    /// The addresses of `ListenStream=`, as systemd writes them.
    pub(crate) addresses: Vec<String>,
    /// Whether `Service=` names this process's unit, so that systemd passes it the sockets.
    pub(crate) starts_us: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp(SocketAddr),
    /// A path in the file system, or an abstract name after `@`.
    Unix(String),
}

impl Listeners {
    /// Takes the sockets that systemd has passed to this process (sd_listen_fds(3)). There may be none.
    pub(crate) fn inherited() -> Self {
        let mut inherited = listenfd::ListenFd::from_env();
        let mut listeners = Self::default();
        for index in 0..inherited.len() {
            if let Ok(Some(listener)) = inherited.take_tcp_listener(index) {
                listeners.add(listener);
                continue;
            }
            listeners.queues.has_others = true;
            if let Ok(Some(listener)) = inherited.take_unix_listener(index) {
                listeners.addresses.extend(address_of(&listener));
            }
        }
        listeners
    }

    /// The queues of the listeners.
    pub(crate) fn queues(&self) -> Queues {
        self.queues.clone()
    }

    fn add(&mut self, listener: TcpListener) {
        self.addresses.extend(listener.local_addr().ok().map(Address::Tcp));
        self.queues.of_tcp().push(listener);
    }

    /// The addresses that the unit names but systemd does not listen on. This cannot be known for an address
    /// that is neither TCP nor a unix socket, or that names a network interface.
    pub(crate) fn missing<'a>(&self, unit: &'a SocketUnit) -> Vec<&'a str> {
        let is_missing = |named: &&str| {
            let address = Address::parse(named);
            address.is_some_and(|address| !self.addresses.contains(&address))
        };
        let can_know = unit.starts_us && unit.state == ActiveState::Active;
        unit.addresses.iter().filter(|_| can_know).map(String::as_str).filter(is_missing).collect()
    }

    /// Whether systemd listens on at least one of the unit's addresses, as far as can be known.
    pub(crate) fn has_any_of(&self, unit: &SocketUnit) -> bool {
        unit.addresses.is_empty() || self.missing(unit).len() < unit.addresses.len()
    }

    /// Sets the length of the queues again, because a worker may have changed it. Closes a socket that the
    /// unit no longer names: if this process kept it open as the last one, its clients would wait in vain.
    pub(crate) fn tend(&mut self, unit: &SocketUnit) {
        self.addresses.retain(|address| unit.may_name(address));
        let mut queues = self.queues.of_tcp();
        queues.retain(|queue| queue.local_addr().is_ok_and(|at| unit.may_name(&Address::Tcp(at))));
        let length = i32::try_from(unit.backlog).unwrap_or(i32::MAX);
        for queue in &*queues {
            if let Err(error) = rustix::net::listen(queue, length) {
                tracing::warn!("failed to set the length of the shared queue of connections: {error}");
            }
        }
    }
}

impl SocketUnit {
    /// Whether the unit may name this address. A name that cannot be parsed may stand for any address.
    fn may_name(&self, address: &Address) -> bool {
        let is = |named: &String| Address::parse(named).is_none_or(|named| named == *address);
        self.addresses.iter().any(is)
    }
}

impl Address {
    fn parse(named: &str) -> Option<Self> {
        match named.starts_with(['/', '@']) {
            true => Some(Self::Unix(named.to_owned())),
            false => named.parse().ok().map(Self::Tcp),
        }
    }
}

fn address_of(listener: &UnixListener) -> Option<Address> {
    let address = listener.local_addr().ok()?;
    let path = address.as_pathname().map(|path| path.to_string_lossy().into_owned());
    let name = || address.as_abstract_name().map(|name| format!("@{}", String::from_utf8_lossy(name)));
    path.or_else(name).map(Address::Unix)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    fn unit(listener: &TcpListener, backlog: u32) -> SocketUnit {
        let addresses = vec![listener.local_addr().unwrap().to_string()];
        SocketUnit { state: ActiveState::Active, is_masked: false, backlog, addresses, starts_us: true }
    }

    fn handed(listeners: impl IntoIterator<Item = TcpListener>) -> Listeners {
        let mut handed = Listeners::default();
        listeners.into_iter().for_each(|listener| handed.add(listener));
        handed
    }

    /// Whether the queue holds this many connections before one is accepted.
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
        let mut listeners = handed([listener.try_clone().unwrap()]);
        listeners.tend(&unit(&listener, 64));
        rustix::net::listen(&listener, 4).unwrap();
        assert!(!takes(&listener, 32));
        listeners.tend(&unit(&listener, u32::MAX));
        assert!(takes(&listener, 32));
    }

    #[test]
    fn a_listener_that_the_unit_does_not_name_is_closed() {
        let [one, other] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = other.local_addr().unwrap();
        let named = unit(&one, 64);
        let mut listeners = handed([one, other]);
        listeners.tend(&named);
        assert_eq!(listeners.queues.of_tcp().len(), 1);
        TcpStream::connect(address).unwrap_err();
    }

    #[test]
    fn what_systemd_writes_is_compared_as_addresses() {
        let here = Address::Tcp(([0, 0, 0, 0, 0, 0, 0, 1], 80).into());
        for (named, is_here) in
            [("[::1]:80", true), ("[0:0::1]:80", true), ("[::1]:81", false), ("/run/a", false)]
        {
            assert_eq!(Address::parse(named).unwrap() == here, is_here, "{named}");
        }
        for unreadable in ["[fe80::1%eth0]:80", "vsock:2:80"] {
            assert_eq!(Address::parse(unreadable), None);
        }
    }

    #[test]
    fn an_address_that_was_not_handed_is_missing() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut unit = unit(&tcp, 64);
        let here = unit.addresses[0].clone();
        let mut listeners = handed([tcp]);
        assert_eq!(listeners.missing(&unit), [""; 0]);

        unit.addresses = ["/run/a", "127.0.0.1:1", &here, "[fe80::1%eth0]:80"].map(str::to_owned).to_vec();
        assert_eq!(listeners.missing(&unit), ["/run/a", "127.0.0.1:1"]);
        for (state, starts_us) in [(ActiveState::Failed, true), (ActiveState::Active, false)] {
            let unknown = SocketUnit { state, starts_us, addresses: unit.addresses.clone(), ..unit };
            assert_eq!(listeners.missing(&unknown), [""; 0]);
        }

        // systemd has closed the socket meanwhile, and does not open it again.
        listeners.tend(&SocketUnit { addresses: vec!["127.0.0.1:1".to_owned()], ..unit });
        unit.addresses = vec![here];
        assert_eq!(listeners.missing(&unit), [unit.addresses[0].as_str()]);
    }

    #[test]
    fn unix_sockets_are_known_by_their_names() {
        let name = std::os::unix::net::SocketAddr::from_abstract_name("app-cluster-listeners-test").unwrap();
        let listener = UnixListener::bind_addr(&name).unwrap();
        let named = Address::parse("@app-cluster-listeners-test");
        assert_eq!(address_of(&listener), named);
    }
}
