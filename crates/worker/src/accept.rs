//! Takes connections from the accept queue that all workers share.
//!
//! - `share`: which worker takes the next connection.
//! - `queue`: how many connections wait.

mod queue;
mod share;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use scoreboard::Slot;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use self::queue::Queue;
use self::share::{Moment, Share, Turn};
use crate::listener::Listener;
use crate::socket::Accepted;

/// How the workers share connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Accept {
    /// Evenly. Each worker works out how the queued connections are shared out if the worker with the fewest
    /// connections gets the next one. It takes only its own part. The others wait a few milliseconds, once, for
    /// a worker that is dead, stopped or busy.
    #[default]
    Fair,
    /// A worker takes every connection that it can get, as programs do that do not know of each other.
    Plain,
}

/// How long a worker leaves the queue to the siblings whose turn it is. This is long enough for a sibling to
/// wake up on a busy machine, and short enough that no client notices.
const MOMENT: Duration = Duration::from_millis(2);
/// How long a worker leaves the queue to its siblings if it cannot accept anything.
const PAUSE: Duration = Duration::from_millis(100);

/// How many descriptors the connections of all listeners may have at once, and whether the worker takes more
/// now.
#[derive(Debug)]
pub(crate) struct Room {
    slot: Slot,
    most: usize,
    open: AtomicUsize,
    /// A place is free again. This wakes all waiting listeners, because one of them may find no client.
    left: Notify,
    /// How many listeners wait until the worker can accept again.
    waiting: AtomicUsize,
}

/// The place of one descriptor, held as long as it is open.
#[derive(Debug)]
#[must_use = "dropped at once it leaves its place to another"]
pub(crate) struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.left.notify_waiters();
    }
}

impl Room {
    /// With places for `most` descriptors.
    pub(crate) fn new(slot: Slot, most: usize) -> Self {
        Self { slot, most, open: AtomicUsize::new(0), left: Notify::new(), waiting: AtomicUsize::new(0) }
    }

    /// The slot on which the worker counts the connections.
    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Waits for `then`. Meanwhile the siblings need not count on this worker.
    async fn wait_until(&self, then: impl Future<Output = ()>) {
        let _absence = Absence::begin(self);
        then.await;
    }

    /// Waits until there is a free place.
    async fn is_there(&self) {
        while self.is_full() {
            let mut left = pin!(self.left.notified());
            left.as_mut().enable();
            if self.is_full() {
                self.wait_until(left).await;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.most
    }

    /// Takes a place, if one is free.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        let one_more = |open| (open < self.most).then_some(open + 1);
        let taken = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }
}

struct Absence<'a>(&'a Room);

impl<'a> Absence<'a> {
    fn begin(room: &'a Room) -> Self {
        room.waiting.fetch_add(1, Ordering::Relaxed);
        room.slot.leave();
        Self(room)
    }
}

impl Drop for Absence<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.slot.ready();
        }
    }
}

/// Takes connections from the accept queue of one listener while there are free places.
#[derive(Debug)]
pub(crate) struct Acceptor {
    queue: Queue,
    room: Arc<Room>,
    accept: Accept,
    share: Share,
    /// When the current moment ends.
    over: Option<Instant>,
    is_starved: bool,
}

impl Acceptor {
    pub(crate) fn new(listener: Listener, room: Arc<Room>, accept: Accept) -> io::Result<Self> {
        let queue = Queue::new(listener)?;
        Ok(Self { queue, room, accept, share: Share::default(), over: None, is_starved: false })
    }

    /// Takes the next connection and a place for it.
    pub(crate) async fn next(&mut self) -> (Accepted, Place) {
        loop {
            self.room.is_there().await;
            if self.turn().await == Turn::Theirs {
                let over = *self.over.get_or_insert_with(|| Instant::now() + MOMENT);
                let _ = timeout_at(over, self.queue.arrival()).await;
                continue;
            }
            // Another listener may have been faster.
            let Some(place) = self.room.place() else { continue };
            match self.queue.take().await {
                Ok(accepted) => {
                    self.is_starved = false;
                    return (accepted, place);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.over = None,
                Err(error) if is_of_the_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    drop(place);
                    self.starve(&error).await;
                }
            }
        }
    }

    /// Waits for a connection, and decides whose turn it is. If the length of the queue is unknown, there is
    /// nothing to share out.
    async fn turn(&mut self) -> Turn {
        let slot = &self.room.slot;
        if self.accept == Accept::Plain || slot.is_private() {
            let _ = self.queue.filled().await;
            return Turn::Mine;
        }
        let me = || (slot.instance(), slot.seat());
        let siblings = || slot.siblings().map(|sibling| (sibling.instance, sibling.seat));
        loop {
            match self.queue.length().await {
                Ok(0) => {
                    self.over = None;
                    self.share.rest(std::time::Instant::now(), siblings().chain([me()]));
                }
                Ok(queued) => return self.share.turn(queued, moment(&mut self.over), me(), siblings()),
                Err(_) => return Turn::Mine,
            }
        }
    }

    /// The process or the system has run out of descriptors or memory. The worker leaves the queue to its
    /// siblings for a moment. Queued connections are not lost, and an immediate retry would only burn CPU
    /// time.
    async fn starve(&mut self, error: &io::Error) {
        if !self.is_starved {
            tracing::warn!(%error, "no connection can be accepted, new ones wait in the accept queue");
        }
        self.is_starved = true;
        self.room.wait_until(tokio::time::sleep(PAUSE)).await;
    }
}

fn moment(over: &mut Option<Instant>) -> Moment {
    match over {
        None => Moment::None,
        Some(over) if Instant::now() < *over => Moment::Runs,
        Some(_) => {
            *over = None;
            Moment::Over
        }
    }
}

/// How many connections a worker holds at once: seven eighths of the descriptors that it may have
/// (`LimitNOFILE=`), and at least 32 fewer. The rest is for what handlers open and for messages to systemd. A
/// worker that has no descriptor left to feed its watchdog would be killed. Further connections wait in the
/// accept queue.
pub(crate) fn slots() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let most = |limit: usize| limit.saturating_sub((limit / 8).max(32)).max(1);
    limit.map_or(usize::MAX, most)
}

/// Whether accept(2) reports the state of one connection, and not a shortage in this process. On Linux it
/// returns network errors that are already known for the next connection (accept(2), "Error handling").
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
