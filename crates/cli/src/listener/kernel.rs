//! The kernel's list of listening sockets, and of the sockets that a process has open.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Address;

/// A listening socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// The number by which /proc/PID/fd names it.
    pub(super) inode: u64,
    pub(super) address: Address,
}

/// All listening sockets in the network namespace of PID 1, whichever namespace this process is in.
pub(super) fn listening() -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for (file, parse) in [("tcp", of_tcp as fn(&str) -> Option<Socket>), ("tcp6", of_tcp), ("unix", of_unix)]
    {
        match fs::read_to_string(format!("/proc/1/net/{file}")) {
            Ok(text) => sockets.extend(text.lines().skip(1).filter_map(parse)),
            // A kernel without IPv6 does not have tcp6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// The inodes of the sockets that a process has open.
pub(super) fn sockets_of(pid: u32) -> io::Result<Vec<u64>> {
    let mut inodes = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A descriptor that was closed meanwhile does not count.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']'));
        inodes.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(inodes)
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`, in hexadecimal; state 0A is TCP_LISTEN.
fn of_tcp(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let address = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some(Socket { inode: fields.get(9)?.parse().ok()?, address: Address::Ip(address) })
}

/// Words of four bytes, each written as a number of this machine's byte order.
fn ip_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(words.concat()).for_each(|(byte, from)| *byte = from);
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// `Num RefCount Protocol Flags Type St Inode Path`; the flag 0x10000 is __SO_ACCEPTCON.
fn of_unix(line: &str) -> Option<Socket> {
    const IS_LISTENING: u32 = 0x1_0000;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
    let (inode, path) = (fields.get(6)?.parse().ok()?, *fields.get(7)?);
    let address = match path.strip_prefix('@') {
        Some(name) => Address::Abstract(name.to_owned()),
        None => Address::Path(path.into()),
    };
    (flags & IS_LISTENING != 0).then_some(Socket { inode, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_sockets_are_read_and_others_are_not() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 \
                    41231 1 0000000000000000 100 0 0 10 0";
        let expected = Socket { inode: 41231, address: Address::parse("127.0.0.1:8080").unwrap() };
        if cfg!(target_endian = "little") {
            assert_eq!(of_tcp(line), Some(expected));
        }
        assert_eq!(of_tcp(&line.replace(" 0A ", " 01 ")), None);
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 23456 /run/shop.sock";
        let expected = Socket { inode: 23456, address: Address::parse("/run/shop.sock").unwrap() };
        assert_eq!(of_unix(line), Some(expected));
        assert_eq!(of_unix(&line.replace("00010000", "00000000")), None);
        assert_eq!(of_unix(line.trim_end_matches(" /run/shop.sock")), None);
    }

    #[test]
    fn a_socket_in_the_file_system_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let own = sockets_of(std::process::id()).unwrap();
        let all = listening().unwrap();
        assert!(
            all.iter()
                .any(|socket| socket.address == Address::Path(path.clone()) && own.contains(&socket.inode))
        );
    }
}
