//! An address to listen on, as `ListenStream=` has it (systemd.socket(5)).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::{fmt, fs, io};

/// An address of a stream socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A port on every address of the machine: IPv6, which also accepts IPv4, or only IPv4 without IPv6.
    Port(u16),
    /// One address, or all of one kind.
    Ip(SocketAddr),
    /// A socket in the file system.
    Path(PathBuf),
    /// A socket in the abstract name space, without the `@`.
    Abstract(String),
}

impl Address {
    /// Returns none if the text is not an address, or is one that cannot be checked. Such are vsock, a network
    /// interface, and a specifier other than that of the runtime directory (systemd.unit(5)).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = &text.replace("%t", "/run");
        if text.contains('%') {
            return None;
        }
        if text.starts_with('/') {
            return Some(Self::Path(text.into()));
        }
        if let Some(name) = text.strip_prefix('@') {
            return Some(Self::Abstract(name.to_owned()));
        }
        match text.parse() {
            Ok(port) if port > 0 => Some(Self::Port(port)),
            _ => text.parse().ok().map(Self::Ip),
        }
    }

    /// Whether a socket cannot be bound here while another one is bound there (bind(2), EADDRINUSE). A path never
    /// excludes another address, because systemd removes what is there. proc(5) does not show which sockets are IPv6
    /// only (ipv6(7), IPV6_V6ONLY). So a socket on all IPv6 addresses counts as one on all IPv4 addresses too.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Port(one), Self::Port(other)) => one == other,
            (Self::Port(port), Self::Ip(address)) | (Self::Ip(address), Self::Port(port)) => {
                address.port() == *port
            }
            (Self::Ip(one), Self::Ip(other)) => {
                let (ip, other_ip) = (plain(one.ip()), plain(other.ip()));
                one.port() == other.port()
                    && (ip == other_ip || includes(ip, other_ip) || includes(other_ip, ip))
            }
            (Self::Abstract(one), Self::Abstract(other)) => one == other,
            _ => false,
        }
    }

    /// Whether this machine has the address now. With `FreeBind=`, systemd can bind it even before the machine has it.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        let Self::Ip(address) = self else { return true };
        let bound = UdpSocket::bind((address.ip(), 0));
        !matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
    }

    /// Whether it is the path of a file that is not a socket. systemd removes such a file.
    pub(crate) fn is_at_a_file(&self) -> bool {
        let Self::Path(path) = self else { return false };
        fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket())
    }

    /// Whether a socket that is bound to `bound` serves this address.
    pub(crate) fn is_served_by(&self, bound: &Self) -> bool {
        match (self, bound) {
            (Self::Port(port), Self::Ip(bound)) => bound.port() == *port && bound.ip().is_unspecified(),
            // The kernel's list does not contain the scope.
            (Self::Ip(wanted), Self::Ip(bound)) => {
                wanted.port() == bound.port() && plain(wanted.ip()) == plain(bound.ip())
            }
            (wanted, bound) => wanted == bound,
        }
    }
}

fn includes(all: IpAddr, one: IpAddr) -> bool {
    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
}

fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Ip(address) => write!(f, "{address}"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_takes_is_an_address() {
        assert_eq!(Address::parse("8080"), Some(Address::Port(8080)));
        assert_eq!(Address::parse("127.0.0.1:80"), Some(Address::Ip(([127, 0, 0, 1], 80).into())));
        assert_eq!(Address::parse("[::1]:80"), Some(Address::Ip(([0, 0, 0, 0, 0, 0, 0, 1], 80).into())));
        assert_eq!(Address::parse("/run/a.sock"), Some(Address::Path("/run/a.sock".into())));
        assert_eq!(Address::parse("%t/a.sock"), Some(Address::Path("/run/a.sock".into())));
        assert_eq!(Address::parse("@a"), Some(Address::Abstract("a".to_owned())));
        for other in ["", "0", "localhost:80", "vsock:2:1234", "/run/%i.sock", ":99999"] {
            assert_eq!(Address::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_port_alone_is_served_on_every_address() {
        let port = Address::Port(80);
        for (bound, is_it) in
            [("[::]:80", true), ("0.0.0.0:80", true), ("127.0.0.1:80", false), ("[::]:81", false)]
        {
            assert_eq!(port.is_served_by(&Address::parse(bound).unwrap()), is_it, "{bound}");
        }
    }

    #[test]
    fn two_sockets_may_exclude_each_other() {
        for (one, other, exclude) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("127.0.0.1:80", "[::1]:80", false),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", "[::]:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("80", "127.0.0.1:80", true),
            ("80", "[::1]:80", true),
            ("80", "[::1]:81", false),
            ("80", "80", true),
            ("@shop", "@shop", true),
            ("@shop", "@other", false),
            ("/run/shop.sock", "/run/shop.sock", false),
        ] {
            let [one, other] = [one, other].map(|text| Address::parse(text).unwrap());
            assert_eq!(one.excludes(&other), exclude, "{one}, {other}");
            assert_eq!(other.excludes(&one), exclude, "{other}, {one}");
        }
    }

    #[test]
    fn an_address_of_documentation_is_of_no_machine() {
        // RFC 5737.
        for (address, is_it) in [
            ("192.0.2.1:80", false),
            ("127.0.0.1:80", true),
            ("0.0.0.0:80", true),
            ("80", true),
            ("@a", true),
        ] {
            assert_eq!(Address::parse(address).unwrap().is_of_this_machine(), is_it, "{address}");
        }
    }

    #[test]
    fn an_address_has_two_forms() {
        for (wanted, bound, is_it) in [
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("[::]:80", "[::]:80", true),
        ] {
            let [wanted, bound] = [wanted, bound].map(|text| Address::parse(text).unwrap());
            assert_eq!(wanted.is_served_by(&bound), is_it, "{wanted}, {bound}");
        }
    }
}
