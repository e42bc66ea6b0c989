//! The listeners that systemd hands to this process, for the socket names it as the service it starts. It never accepts.
//!
//! **What they tell.** systemd opens the addresses of a socket unit when that starts, and hands this process what it has. It opens none
//! while the socket is active, and lets go of one that the unit does not name when it reads that anew. So where an address that
//! the unit names was not handed to us, or was not named for a while, systemd does not listen (docs/decisions/0029).
//!
//! **What they are kept for.** All workers share the queue of connections that wait to be accepted. listen(2) sets its length for all
//! who share the socket, and for good. Many servers call it on the descriptor that they are handed, with a number of their
//! own: 100, 128, 1024. Of a burst that the unit's `Backlog=` has room for, the kernel would then drop the rest, and clients try
//! again after a second; also after a rollback. This process sets the length anew. Not of unix sockets: there listen(2) also
//! makes the caller the one whom clients see (unix(7), SO_PEERCRED).

use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::UnixListener;

use rollout::ActiveState;

/// What systemd has handed to this process.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// Those that systemd still has.
    addresses: Vec<Address>,
    /// Our own descriptors of them.
    queues: Vec<TcpListener>,
}

/// What systemd has loaded for the socket unit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SocketUnit {
    pub(crate) state: ActiveState,
    pub(crate) is_masked: bool,
    /// `Backlog=`. The kernel makes of it what net.core.somaxconn allows.
    pub(crate) backlog: u32,
    /// `ListenStream=`, as systemd writes them.
    pub(crate) addresses: Vec<String>,
    /// `Service=` names this process's unit, so that it is handed the listeners.
    pub(crate) starts_us: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp(SocketAddr),
    /// In the file system, or with `@` before it.
    Unix(String),
}

impl Listeners {
    /// Those of this process (sd_listen_fds(3)), which may be none.
    pub(crate) fn inherited() -> Self {
        let mut inherited = listenfd::ListenFd::from_env();
        let mut listeners = Self::default();
        for index in 0..inherited.len() {
            if let Ok(Some(listener)) = inherited.take_tcp_listener(index) {
                listeners.add(listener);
            } else if let Ok(Some(listener)) = inherited.take_unix_listener(index) {
                listeners.addresses.extend(address_of(&listener));
            }
        }
        listeners
    }

    fn add(&mut self, listener: TcpListener) {
        self.addresses.extend(listener.local_addr().ok().map(Address::Tcp));
        self.queues.push(listener);
    }

    /// The addresses that the unit names and systemd does not listen on. Of one that is neither of TCP nor of a unix
    /// socket, or names a network interface, it cannot be known.
    pub(crate) fn missing<'a>(&self, unit: &'a SocketUnit) -> Vec<&'a str> {
        let is_missing = |named: &&str| {
            let address = Address::parse(named);
            address.is_some_and(|address| !self.addresses.contains(&address))
        };
        let can_know = unit.starts_us && unit.state == ActiveState::Active;
        unit.addresses.iter().filter(|_| can_know).map(String::as_str).filter(is_missing).collect()
    }

    /// Whether systemd listens on one of the unit's addresses at least, as far as can be known.
    pub(crate) fn has_any_of(&self, unit: &SocketUnit) -> bool {
        unit.addresses.is_empty() || self.missing(unit).len() < unit.addresses.len()
    }

    /// Gives the queues their length again, which a worker may have changed. A listener that the unit no longer names is
    /// closed: the last one to have it open would keep its clients waiting.
    pub(crate) fn tend(&mut self, unit: &SocketUnit) {
        self.addresses.retain(|address| unit.may_name(address));
        self.queues.retain(|queue| queue.local_addr().is_ok_and(|at| unit.may_name(&Address::Tcp(at))));
        let length = i32::try_from(unit.backlog).unwrap_or(i32::MAX);
        for queue in &self.queues {
            if let Err(error) = rustix::net::listen(queue, length) {
                tracing::warn!("failed to set the length of the shared queue of connections: {error}");
            }
        }
    }
}

impl SocketUnit {
    /// An address that cannot be read may be any.
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
        assert_eq!(listeners.queues.len(), 1);
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

        // systemd has let go of it meanwhile, and opens it no more.
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
