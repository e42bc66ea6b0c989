//! Takes the listeners from systemd, by name (sd_listen_fds(3)).

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::fs::OFlags;

use crate::{Address, Error};

/// A listener in non-blocking mode.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) fn address(&self) -> Result<Address, Error> {
        let address = match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(listener) => listener.local_addr().map(|address| Address::of_unix(&address)),
        };
        address.map_err(Error::system("read the socket's address"))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Takes all listeners called `name` from those that systemd passed: a socket unit has one for each
/// `ListenStream=`. Without listeners and without systemd, binds the developer's `address`.
pub(crate) fn take(name: &str, address: Option<SocketAddr>) -> Result<Vec<Listener>, Error> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    // Taking the listeners removes the variable from the environment.
    let meant_for = env::var("LISTEN_PID").ok();
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return match address {
            Some(address) if !is_supervised() => Ok(vec![bind(address)?]),
            _ => Err(nothing_passed(meant_for)),
        };
    }
    if let Some(address) = address {
        tracing::warn!(%address, "systemd has passed a socket, ignoring the development address {address}");
    }
    let mut listeners = Vec::new();
    let count = passed.len();
    for index in indices(&names, name).take_while(|index| *index < count) {
        let listener = take_one(&mut passed, index)
            .map_err(|source| Error::NotStream { name: name.to_owned(), source })?
            .ok_or(Error::NoSocket)?;
        check(name, &listener)?;
        listeners.push(listener);
    }
    match listeners.is_empty() {
        true => Err(Error::NoSuchName { wanted: name.to_owned(), passed: names }),
        false => Ok(listeners),
    }
}

fn nothing_passed(meant_for: Option<String>) -> Error {
    let another = meant_for.filter(|pid| !is_mine(pid));
    match another.and_then(|pid| pid.parse().ok()) {
        Some(pid) => Error::PassedToAnother { pid },
        None => Error::NoSocket,
    }
}

fn take_one(passed: &mut ListenFd, index: usize) -> io::Result<Option<Listener>> {
    // A socket that is not TCP stays where it is.
    match passed.take_tcp_listener(index) {
        Ok(listener) => Ok(listener.map(Listener::Tcp)),
        Err(_) => Ok(passed.take_unix_listener(index)?.map(Listener::Unix)),
    }
}

/// Which of the descriptors have this name, by `LISTEN_FDNAMES`.
pub(crate) fn indices(names: &str, name: &str) -> impl Iterator<Item = usize> {
    names.split(':').enumerate().filter(move |(_, passed)| *passed == name).map(|(index, _)| index)
}

/// Whether this is a service of systemd. If a service opened a port of its own, it would serve outside its
/// cluster, and users might not notice.
///
/// The process that systemd has started finds its own pid in `SYSTEMD_EXEC_PID` (systemd.exec(5)). Processes
/// that it starts in turn, such as terminals and CI agents, find another pid there.
fn is_supervised() -> bool {
    let pid = env::var("SYSTEMD_EXEC_PID").ok();
    env::var_os("NOTIFY_SOCKET").is_some() || pid.is_some_and(|pid| is_mine(&pid))
}

fn is_mine(pid: &str) -> bool {
    pid.parse() == Ok(std::process::id())
}

fn bind(address: SocketAddr) -> Result<Listener, Error> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    let listener = bound.map_err(|source| Error::Bind { address, source })?;
    tracing::warn!(
        "DEVELOPMENT ONLY: this worker has opened {address} by itself. Nothing supervises it, no sibling shares \
         its connections, and a restart loses requests"
    );
    Ok(Listener::Tcp(listener))
}

/// The address after `--listen` among a program's arguments.
pub(crate) fn development_address(
    mut arguments: impl Iterator<Item = OsString>,
) -> Result<Option<SocketAddr>, Error> {
    let value = loop {
        let Some(argument) = arguments.next() else { return Ok(None) };
        let argument = argument.to_string_lossy();
        if argument == "--listen" {
            break arguments.next().unwrap_or_default().to_string_lossy().into_owned();
        }
        if let Some(value) = argument.strip_prefix("--listen=") {
            break value.to_owned();
        }
    };
    value.parse().map(Some).map_err(|_| Error::Address { value })
}

fn check(name: &str, listener: &Listener) -> Result<(), Error> {
    let listens = rustix::net::sockopt::socket_acceptconn(listener)
        .map_err(io::Error::from)
        .map_err(Error::system("ask whether the socket listens"))?;
    if !listens {
        return Err(Error::NotListening { name: name.to_owned() });
    }
    let flags = rustix::fs::fcntl_getfl(listener)
        .map_err(io::Error::from)
        .map_err(Error::system("read the socket's flags"))?;
    if !flags.contains(OFlags::NONBLOCK) {
        return Err(Error::Blocking { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<SocketAddr>, String> {
        let arguments = arguments.iter().map(OsString::from);
        development_address(arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_may_follow_or_be_joined() {
        let address = Ok(Some(SocketAddr::from(([127, 0, 0, 1], 3000))));
        assert_eq!(read(&["worker", "--listen", "127.0.0.1:3000"]), address);
        assert_eq!(read(&["worker", "-v", "--listen=127.0.0.1:3000", "x"]), address);
        assert_eq!(read(&["worker", "listen", "--listener=127.0.0.1:1"]), Ok(None));
    }

    #[test]
    fn the_pid_of_another_is_inherited() {
        assert!(is_mine(&std::process::id().to_string()));
        for pid in ["1", "", "x"] {
            assert!(!is_mine(pid), "{pid}");
        }
    }

    #[test]
    fn anything_else_is_told() {
        for arguments in [&["worker", "--listen"][..], &["--listen=3000"], &["--listen", "localhost:80"]] {
            let message = read(arguments).unwrap_err();
            assert!(message.contains("an address and port"), "{message}");
        }
    }
}
