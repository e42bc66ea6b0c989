//! Takes connections from the queue that all workers share.
//!
//! - `share`: whose turn it is.
//! - `queue`: how many connections wait.

mod queue;
mod share;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use scoreboard::Slot;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use self::queue::Queue;
use self::share::{Moment, Share, Turn};

/// How connections are shared among the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Accept {
    /// Evenly: each worker takes those that go to it when the queue is shared out to whoever has the fewest. A
    /// worker that is dead, stopped or busy is waited for during some milliseconds, once.
    #[default]
    Fair,
    /// Whoever comes first takes all that it can, as programs do that know nothing of each other.
    Plain,
}

/// How long the queue is left to the siblings whose turn it is: as long as it takes to be woken up on a machine that is
/// busy, and no longer than a client notices.
const MOMENT: Duration = Duration::from_millis(2);
/// How long it is left to them when this worker cannot take anything.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections, as many as may be open at once.
#[derive(Debug)]
pub(crate) struct Acceptor {
    queue: Queue,
    slot: Slot,
    accept: Accept,
    share: Share,
    /// When the moment that runs is over.
    over: Option<Instant>,
    permits: Arc<Semaphore>,
    is_starved: bool,
}

impl Acceptor {
    /// `most` connections may be open at once.
    pub(crate) fn new(listener: TcpListener, slot: Slot, accept: Accept, most: usize) -> io::Result<Self> {
        Ok(Self {
            queue: Queue::new(listener)?,
            slot,
            accept,
            share: Share::default(),
            over: None,
            permits: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            is_starved: false,
        })
    }

    /// Takes the next connection. The permit has to be kept as long as it is open. There is always a next one.
    pub(crate) async fn next(&mut self) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let permit = self.permit().await?;
        loop {
            if self.turn().await == Turn::Theirs {
                let over = *self.over.get_or_insert_with(|| Instant::now() + MOMENT);
                let _ = timeout_at(over, self.queue.arrival()).await;
                continue;
            }
            match self.queue.take().await {
                Ok(stream) => {
                    self.is_starved = false;
                    return Some((stream, permit));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.over = None,
                Err(error) if is_of_the_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => self.starve(&error).await,
            }
        }
    }

    /// Waits until one more may be open. Until then the siblings need not count on this worker.
    async fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        self.slot.leave();
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        self.slot.ready();
        self.over = None;
        permit.ok()
    }

    /// Waits for a connection, and says whose it is. Without a count there is nothing to share out.
    async fn turn(&mut self) -> Turn {
        if self.accept == Accept::Plain || self.slot.is_private() {
            return Turn::Mine;
        }
        loop {
            match self.queue.length().await {
                Ok(0) => self.over = None,
                Ok(queued) => {
                    let moment = self.moment();
                    let me = (self.slot.instance(), self.slot.seat());
                    let siblings = self.slot.siblings().map(|sibling| (sibling.instance, sibling.seat));
                    return self.share.turn(queued, moment, me, siblings);
                }
                Err(_) => return Turn::Mine,
            }
        }
    }

    fn moment(&mut self) -> Moment {
        match self.over {
            None => Moment::None,
            Some(over) if Instant::now() < over => Moment::Runs,
            Some(_) => {
                self.over = None;
                Moment::Over
            }
        }
    }

    /// When the process or the system has run out of descriptors or memory, the queue is left to the
    /// siblings for a moment: nothing in it is lost, and trying at once would only burn the CPU.
    async fn starve(&mut self, error: &io::Error) {
        if !self.is_starved {
            tracing::warn!(%error, "no connection can be accepted, they wait in the queue");
        }
        self.is_starved = true;
        self.slot.leave();
        tokio::time::sleep(PAUSE).await;
        self.slot.ready();
    }
}

/// How many connections a worker holds at once: seven eighths of the descriptors it may have
/// (`LimitNOFILE=`), and 32 less at least. The rest is for what handlers open and for talking to systemd; a worker that
/// cannot feed its watchdog for want of a descriptor would be killed. Who comes then waits in the queue.
pub(crate) fn slots() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let most = |limit: usize| limit.saturating_sub((limit / 8).max(32)).max(1);
    limit.map_or(usize::MAX, most)
}

/// Whether accept(2) reports what became of one connection, as opposed to a shortage here: on Linux it passes errors of the
/// network on that are already known of the next connection (accept(2), "Error handling").
fn is_of_the_connection(error: &io::Error) -> bool {
    const ERRORS: [Errno; 12] = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::TIMEDOUT,
        Errno::INTR,
        Errno::NETDOWN,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::HOSTUNREACH,
        Errno::OPNOTSUPP,
        Errno::NETUNREACH,
    ];
    Errno::from_io_error(error).is_some_and(|error| ERRORS.contains(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_not_of_the_connection() {
        for error in [Errno::CONNABORTED, Errno::PROTO, Errno::NETDOWN, Errno::INTR] {
            assert!(is_of_the_connection(&error.into()), "{error}");
        }
        for error in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL, Errno::PERM] {
            assert!(!is_of_the_connection(&error.into()), "{error}");
        }
    }
}
