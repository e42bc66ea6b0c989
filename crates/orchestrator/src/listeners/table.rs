//! The kernel's table of TCP sockets (proc_net_tcp in the kernel's documentation): /proc/net/tcp for IPv4 and
//! /proc/net/tcp6 for IPv6, where an IPv4 client of an IPv6 listener has an IPv4-mapped address.

use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// States of a socket (include/net/tcp_states.h in the kernel).
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    state: u8,
    inode: u64,
}

impl Row {
    /// Whether both sides have connected, and the process here has not closed the socket.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, ESTABLISHED | CLOSE_WAIT)
    }

    /// Whether no process has accepted the connection. A socket gets its inode when it is accepted. A socket
    /// that its process has closed has none either, but has left the states of [`Self::is_connected`].
    pub(super) fn waits(&self) -> bool {
        self.is_connected() && self.inode == 0
    }

    /// Whether this is a connection to this listener, given that both are of the same table.
    pub(super) fn is_to(&self, listener: SocketAddr) -> bool {
        let is_any = listener.ip().is_unspecified();
        self.local.port() == listener.port() && (is_any || self.local.ip() == listener.ip())
    }

    /// Parses a line. Returns `None` for the heading, and for everything that is no row.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let local = address(words.nth(1)?)?;
        let remote = address(words.next()?)?;
        let state = u8::from_str_radix(words.next()?, 16).ok()?;
        let inode = u64::from_str(words.nth(5)?).ok()?;
        Some(Self { local, remote, state, inode })
    }
}

/// Hands each row of a table to `take`, until that returns false.
pub(super) fn read(mut table: impl BufRead, mut take: impl FnMut(Row) -> bool) -> io::Result<()> {
    let mut line = Vec::new();
    while table.read_until(b'\n', &mut line)? > 0 {
        let row = str::from_utf8(&line).ok().and_then(Row::parse);
        if row.is_some_and(|row| !take(row)) {
            return Ok(());
        }
        line.clear();
    }
    Ok(())
}

/// An address as `0100007F:0050`. The kernel writes each 32 bits of it as one number in its own byte order.
fn address(word: &str) -> Option<SocketAddr> {
    let (ip, port) = word.split_once(':')?;
    let number = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(number(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&number(8 * at)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    /// As Linux 6.1 writes it: a listener, a connection that waits, one that was accepted, one in TIME_WAIT.
    const IPV4: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 16311 1 000000005d7e9f0d 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D2F0 01 00000000:00000012 00:00000000 00000000     0        0 0 1 0000000023c1f2a8 20 0 0 10 -1
  12: 0100007F:1F90 0100007F:D2F2 08 00000000:00000000 02:000A7B5C 00000000   998        0 17345 2 00000000e3d0b9f1 20 4 0 10 -1
1200: 0100007F:1F90 0100007F:D2F4 06 00000000:00000000 03:00001686 00000000     0        0 0 3 00000000f0e3c1d2
";
    const IPV6: &str = "   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:D2F6 01 00000000:00000000 00:00000000 00000000     0        0 0 1 x
   3: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:D2F8 08 00000000:00000000 00:00000000 00000000     0        0 0 1 x
";

    fn rows(table: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        read(table.as_bytes(), |row| {
            rows.push(row);
            true
        })
        .unwrap();
        rows
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn what_waits_is_told_from_what_was_accepted_or_closed() {
        let rows = rows(IPV4);
        assert_eq!((rows[1].local, rows[1].remote), (at("127.0.0.1:8080"), at("127.0.0.1:54000")));
        let states: Vec<_> = rows.iter().map(|row| (row.is_connected(), row.waits())).collect();
        assert_eq!(states, [(false, false), (true, true), (true, false), (false, false)]);
    }

    #[test]
    fn a_connection_belongs_to_the_listener_of_its_address() {
        let rows: Vec<_> = [IPV4, IPV6].into_iter().flat_map(rows).collect();
        let of = |listener: &str| rows.iter().map(|row| row.is_to(at(listener))).collect::<Vec<_>>();
        assert_eq!(of("0.0.0.0:8080")[1..4], [true; 3]);
        assert_eq!(of("127.0.0.1:8080")[1..4], [true; 3]);
        assert_eq!(of("127.0.0.2:8080")[1..4], [false; 3]);
        assert_eq!(of("127.0.0.1:8081")[1..4], [false; 3]);
        assert_eq!(of("[::]:8080")[4..], [true; 2]);
        assert_eq!(of("[::1]:8080")[4..], [false, true]);
        assert_eq!(of("[::ffff:127.0.0.1]:8080")[4..], [true, false]);
    }

    #[test]
    fn garbage_is_no_row() {
        for line in [
            "",
            ":",
            "1: 2: 3: 4: 5: 6: 7: 8: 9: 10:",
            "0: 0100007F:1F90 0100007F:D2F0 01 0:0 0:0 0 0 0",
            "0: 0100007F:1F90 0100007F:D2F0 01 0:0 0:0 0 0 0 -1",
            "0: 0100007F:1F90 0100007F:D2F0 1FF 0:0 0:0 0 0 0 7",
            "0: 0100007F:1F90 0100007F 01 0:0 0:0 0 0 0 7",
            "0: 0100007F:1F901 0100007F:D2F0 01 0:0 0:0 0 0 0 7",
            "0: 0100007:1F90 0100007F:D2F0 01 0:0 0:0 0 0 0 7",
            "0: 01000ü7:1F90 0100007F:D2F0 01 0:0 0:0 0 0 0 7",
        ] {
            assert_eq!(Row::parse(line), None, "{line}");
        }
        assert_eq!(rows("\u{fffd}\n\n").len(), 0);
        read(&b"\xff\xfe\n0: 0100007F"[..], |_| panic!("no row")).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[0-9A-Fa-f: ü]{0,90}") {
            let _ = Row::parse(&line);
        }
    }
}
