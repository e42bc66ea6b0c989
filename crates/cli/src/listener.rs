//! Which process holds the listener: what a worker that starts now gets, and where the running ones still serve.
//!
//! No property of systemd shows this. If a socket unit is masked and unmasked, or its address changes, PID 1 closes
//! its descriptor at the next daemon-reload. The unit stays active (systemd 252 to 257). The running workers keep
//! their duplicates and serve. The next worker that starts gets no listener. So this module asks the kernel, which
//! lists the listening sockets (proc(5), /proc/1/net) and the open files of processes (/proc/PID/fd).

mod address;
mod kernel;

use std::io;

pub(crate) use address::Address;
use kernel::Socket;

/// Which addresses have a listener.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    /// Addresses of the unit that PID 1 holds. A worker that starts now gets these.
    pub(crate) handed: Vec<Address>,
    /// Addresses of the unit that PID 1 does not hold.
    pub(crate) lost: Vec<Address>,
    /// Those of them that PID 1 cannot have, because another program or another unit listens there.
    pub(crate) taken: Vec<Address>,
    /// Where workers listen.
    pub(crate) served: Vec<Address>,
    /// Where workers listen on a socket that PID 1 no longer has. They serve there until they end.
    pub(crate) left: Vec<Address>,
    /// What the unit names and this module cannot check, as the unit writes it.
    pub(crate) unknown: Vec<String>,
}

/// What may have the cluster's listeners open.
pub(crate) struct Holders {
    /// The addresses that PID 1 says it has loaded for the unit.
    pub(crate) loaded: Vec<Address>,
    /// Addresses of other active socket units. A listener there that PID 1 holds is not the cluster's.
    pub(crate) of_others: Vec<Address>,
    /// The main processes of the workers.
    pub(crate) workers: Vec<u32>,
    /// The main process of the orchestrator, if it runs. It has the listeners, but never accepts.
    pub(crate) orchestrator: Option<u32>,
}

/// Finds the listeners on the addresses in the unit's files, and the processes that have them open.
///
/// # Errors
///
/// Only root may read the descriptors of other users' processes. In some containers, not even root may read those
/// of PID 1.
pub(crate) fn look(named: &[String], holders: &Holders) -> io::Result<Listening> {
    let all = kernel::listening()?;
    let of_manager = kernel::sockets_of(1)?;
    let is_among = |named: &[Address], socket: &Socket| {
        named.iter().any(|address| address.is_served_by(&socket.address))
    };
    let is_of_unit = |socket: &&Socket| {
        of_manager.contains(&socket.inode)
            && is_among(&holders.loaded, socket)
            && !is_among(&holders.of_others, socket)
    };
    let owners = Owners {
        unit: all.iter().filter(is_of_unit).map(|socket| socket.inode).collect(),
        workers: sockets_of(&holders.workers)?,
        orchestrator: sockets_of(holders.orchestrator.as_slice())?,
    };
    let (mut wanted, mut unknown) = (Vec::new(), Vec::new());
    for name in named {
        match Address::parse(name) {
            Some(address) => wanted.push(address),
            None => unknown.push(name.clone()),
        }
    }
    Ok(Listening { unknown, ..compare(&wanted, &all, &owners) })
}

fn sockets_of(pids: &[u32]) -> io::Result<Vec<u64>> {
    let mut inodes = Vec::new();
    for &pid in pids {
        match kernel::sockets_of(pid) {
            Ok(sockets) => inodes.extend(sockets),
            // The process has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(inodes)
}

/// The sockets of each, by their inodes.
#[derive(Debug, Default)]
struct Owners {
    /// What PID 1 holds for the socket unit.
    unit: Vec<u64>,
    workers: Vec<u64>,
    orchestrator: Vec<u64>,
}

fn compare(wanted: &[Address], all: &[Socket], owners: &Owners) -> Listening {
    let is_of_unit = |inode: u64| owners.unit.contains(&inode);
    let is_of_workers = |inode: u64| owners.workers.contains(&inode);
    let held = addresses(all, is_of_unit);
    let foreign = addresses(all, |inode| {
        !is_of_unit(inode) && !is_of_workers(inode) && !owners.orchestrator.contains(&inode)
    });
    let (handed, lost) =
        wanted.iter().partition::<Vec<_>, _>(|wanted| held.iter().any(|held| wanted.is_served_by(held)));
    let is_taken = |lost: &&&Address| foreign.iter().any(|foreign| lost.excludes(foreign));
    let taken = lost.iter().filter(is_taken).copied().collect();
    let served = addresses(all, is_of_workers);
    let left = addresses(all, |inode| is_of_workers(inode) && !is_of_unit(inode));
    let owned = |addresses: Vec<&Address>| addresses.into_iter().cloned().collect();
    Listening {
        handed: owned(handed),
        lost: owned(lost),
        taken: owned(taken),
        served: owned(served),
        left: owned(left),
        unknown: Vec::new(),
    }
}

fn addresses(all: &[Socket], is_meant: impl Fn(u64) -> bool) -> Vec<&Address> {
    let mut found: Vec<&Address> = Vec::new();
    for socket in all.iter().filter(|socket| is_meant(socket.inode)) {
        if !found.contains(&&socket.address) {
            found.push(&socket.address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn sockets(list: &[(u64, &str)]) -> Vec<Socket> {
        list.iter().map(|(inode, text)| Socket { inode: *inode, address: address(text) }).collect()
    }

    fn owners(unit: &[u64], workers: &[u64], orchestrator: &[u64]) -> Owners {
        Owners { unit: unit.into(), workers: workers.into(), orchestrator: orchestrator.into() }
    }

    #[test]
    fn a_held_address_is_handed_on() {
        let all = sockets(&[(7, "127.0.0.1:8080"), (8, "[::]:22")]);
        let seen = compare(&[address("127.0.0.1:8080")], &all, &owners(&[7, 8], &[7], &[]));
        assert_eq!((seen.lost.len(), seen.left.len()), (0, 0));
        assert_eq!(seen.handed, [address("127.0.0.1:8080")]);
    }

    #[test]
    fn an_address_that_only_workers_hold_is_lost() {
        let all = sockets(&[(7, "127.0.0.1:8080")]);
        let seen = compare(&[address("127.0.0.1:8080")], &all, &owners(&[], &[7], &[7]));
        assert_eq!(seen.lost, [address("127.0.0.1:8080")]);
        assert_eq!(seen.left, [address("127.0.0.1:8080")]);
    }

    #[test]
    fn another_address_in_the_unit_is_lost_too() {
        let all = sockets(&[(7, "127.0.0.1:8080")]);
        let seen = compare(&[address("127.0.0.1:9090")], &all, &owners(&[7], &[7], &[]));
        assert_eq!((seen.handed.len(), seen.lost), (0, vec![address("127.0.0.1:9090")]));
    }

    #[test]
    fn an_address_of_another_program_is_taken_and_one_of_our_own_is_not() {
        let all = sockets(&[(7, "127.0.0.1:8080"), (8, "[::1]:8080"), (9, "@shop")]);
        let seen = |wanted: &str| compare(&[address(wanted)], &all, &owners(&[7], &[7], &[]));
        for (wanted, is_taken) in
            [("0.0.0.0:8080", false), ("[::1]:8080", true), ("8080", true), ("@shop", true), ("8081", false)]
        {
            let seen = seen(wanted);
            assert_eq!((seen.lost.len(), seen.taken.len()), (1, usize::from(is_taken)), "{wanted}");
        }
        assert_eq!(seen("127.0.0.1:8080").lost, []);
        let seen = compare(&[address("127.0.0.1:8080")], &all, &owners(&[], &[], &[7]));
        assert_eq!((seen.lost.len(), seen.taken.len()), (1, 0), "only the orchestrator has it");
    }

    #[test]
    fn a_socket_of_this_process_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = Address::Ip(listener.local_addr().unwrap());
        let own = kernel::sockets_of(std::process::id()).unwrap();
        let all = kernel::listening().unwrap();
        let seen = compare(std::slice::from_ref(&bound), &all, &owners(&own, &own, &[]));
        assert_eq!(seen.handed, [bound]);
    }
}
