//! Where a worker listens.

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::PathBuf;

/// The address of a listener. `Display` writes it as in `ListenStream=` (systemd.socket(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket in the file system. If the path begins with `@`, it is an abstract name.
    Unix(PathBuf),
}

impl Address {
    pub(crate) fn of_unix(address: &net::SocketAddr) -> Self {
        let name = address.as_abstract_name().map(|name| [b"@", name].concat());
        Self::Unix(match (address.as_pathname(), name) {
            (Some(path), _) => path.to_owned(),
            (None, name) => OsStr::from_bytes(&name.unwrap_or_default()).into(),
        })
    }

    /// The TCP port.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// All addresses as a list: `127.0.0.1:80, [::1]:80`.
pub(crate) fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_in_the_socket_unit() {
        let path = net::SocketAddr::from_pathname("/run/shop.sock").unwrap();
        let name = net::SocketAddr::from_abstract_name("shop").unwrap();
        let port = Address::Tcp("[::1]:80".parse().unwrap());
        let all = [Address::of_unix(&path), Address::of_unix(&name), port];
        assert_eq!(list(&all), "/run/shop.sock, @shop, [::1]:80");
    }
}
