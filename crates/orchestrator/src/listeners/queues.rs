//! Which connections wait in the queues of the listeners, because no worker has accepted them.
//!
//! poll(2) says whether a queue is empty, which it nearly always is. Only if none is, this reads the kernel's
//! table of sockets. That takes about two milliseconds for a thousand sockets, so another thread does it.
//!
//! The table is that of a network namespace, and the orchestrator has one of its own (`PrivateNetwork=`). So
//! its unit mounts the table of PID 1, which has opened the listeners, and says where.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cluster::accept::{Connection, Waiting};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::task::spawn_blocking;

use super::table;

/// Names the directory of the tables, `tcp` and `tcp6`.
const DIRECTORY: &str = "APP_CLUSTER_NET";

/// The listeners, and what waits in their queues.
#[derive(Debug, Default, Clone)]
pub(crate) struct Queues {
    tcp: Arc<Mutex<Vec<TcpListener>>>,
    /// systemd passed sockets whose queues cannot be seen, for instance unix sockets.
    pub(super) has_others: bool,
}

impl Queues {
    pub(super) fn of_tcp(&self) -> MutexGuard<'_, Vec<TcpListener>> {
        self.tcp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits to be accepted: [`Answer::Queues`](cluster::input::Answer::Queues).
    pub(crate) async fn look(&self) -> Result<Option<Waiting>, String> {
        let listeners = self.if_none_is_empty().map_err(failed)?;
        let Some(listeners) = listeners.filter(|_| !self.has_others) else { return Ok(None) };
        let directory = std::env::var_os(DIRECTORY).map_or_else(|| "/proc/self/net".into(), PathBuf::from);
        let read = move || waiting(&listeners, |table| open(&directory, table));
        spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }

    /// The addresses of the listeners. `None` if there is no listener, or the queue of one is empty.
    fn if_none_is_empty(&self) -> io::Result<Option<Vec<SocketAddr>>> {
        let listeners = self.of_tcp();
        let mut polled: Vec<_> =
            listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
        let filled = poll(&mut polled, Some(&Timespec::default()))?;
        if filled == 0 || filled < listeners.len() {
            return Ok(None);
        }
        listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>().map(Some)
    }
}

fn failed(error: io::Error) -> String {
    format!("failed to see which connections wait to be accepted: {error}")
}

fn open(directory: &std::path::Path, table: &str) -> io::Result<Option<BufReader<File>>> {
    match File::open(directory.join(table)) {
        Ok(file) => Ok(Some(BufReader::with_capacity(1 << 16, file))),
        // The kernel has no IPv6.
        Err(error) if error.kind() == ErrorKind::NotFound && table == "tcp6" => Ok(None),
        Err(error) => Err(error),
    }
}

/// What waits for each listener. `None` if a process holds a connection that it has accepted from one.
fn waiting<R: io::BufRead>(
    listeners: &[SocketAddr],
    open: impl Fn(&str) -> io::Result<Option<R>>,
) -> io::Result<Option<Waiting>> {
    let mut waiting = vec![BTreeSet::new(); listeners.len()];
    let mut is_any_accepted = false;
    for (name, is_ipv4) in [("tcp", true), ("tcp6", false)] {
        let Some(table) = open(name)?.filter(|_| !is_any_accepted) else { continue };
        table::read(table, |row| {
            for (listener, waiting) in listeners.iter().zip(&mut waiting) {
                if listener.is_ipv4() != is_ipv4 || !row.is_connected() || !row.is_to(*listener) {
                    continue;
                }
                match row.waits() {
                    true => waiting.insert(Connection { local: row.local, client: row.remote }),
                    false => std::mem::replace(&mut is_any_accepted, true),
                };
            }
            !is_any_accepted
        })?;
    }
    Ok(Some(waiting).filter(|_| !is_any_accepted))
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn queues(listeners: &[&TcpListener]) -> Queues {
        let queues = Queues::default();
        queues.of_tcp().extend(listeners.iter().map(|listener| listener.try_clone().unwrap()));
        queues
    }

    #[tokio::test]
    async fn what_waits_is_seen_until_it_is_accepted() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let queues = queues(&[&listener]);
            assert_eq!(queues.look().await, Ok(None), "the queue is empty");

            let one = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let other = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let clients = [&one, &other].map(|client| client.local_addr().unwrap().port());
            drop(other);
            let waiting = queues.look().await.unwrap().unwrap();
            let ports: BTreeSet<_> = waiting[0].iter().map(|connection| connection.client.port()).collect();
            assert_eq!((waiting.len(), ports), (1, clients.into()), "also one whose client has closed it");

            let (accepted, _) = listener.accept().unwrap();
            assert_eq!(queues.look().await, Ok(None), "one was accepted");
            drop(accepted);
            assert_eq!(queues.look().await.unwrap().unwrap()[0].len(), 1);
        }
    }

    #[tokio::test]
    async fn the_queues_of_others_do_not_count() {
        let [ours, other] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let _held = [&ours, &other].map(|to| TcpStream::connect(to.local_addr().unwrap()).unwrap());
        let accepted = other.accept().unwrap();
        let mut queues = queues(&[&ours]);
        assert_eq!(queues.look().await.unwrap().unwrap()[0].len(), 1);

        queues.of_tcp().push(TcpListener::bind("127.0.0.1:0").unwrap());
        assert_eq!(queues.look().await, Ok(None), "nothing waits for that one");
        queues.of_tcp().pop();
        queues.has_others = true;
        assert_eq!(queues.look().await, Ok(None), "nothing is known of others");
        drop(accepted);
        assert_eq!(Queues::default().look().await, Ok(None));
    }

    #[test]
    fn a_table_that_is_not_there_is_an_error() {
        let absent = std::path::Path::new("/nonexistent");
        assert!(open(absent, "tcp").is_err());
        assert!(open(absent, "tcp6").unwrap().is_none());
    }
}
