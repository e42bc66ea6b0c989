//! Takes the listener from systemd, by name (sd_listen_fds(3)).

use std::env;
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use rustix::fs::OFlags;

use crate::Error;

/// Takes the listener called `name` from those that systemd passed.
pub(crate) fn from_systemd(name: &str) -> Result<TcpListener, Error> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return Err(Error::NoSocket);
    }
    let index = names.split(':').position(|passed| passed == name);
    let Some(index) = index.filter(|index| *index < passed.len()) else {
        return Err(Error::NoSuchName { wanted: name.to_owned(), passed: names });
    };
    let listener = passed
        .take_tcp_listener(index)
        .map_err(|source| Error::NotTcp { name: name.to_owned(), source })?
        .ok_or(Error::NoSocket)?;
    check(name, &listener)?;
    Ok(listener)
}

fn check(name: &str, listener: &TcpListener) -> Result<(), Error> {
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
