//! Many connections at once.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;

use crate::Report;
use crate::pace::Pace;
use crate::protocol::{self, Protocol};
use crate::tally::Tally;

/// What load to make. By default: one keep-alive connection, `GET /`, without a pause and without end.
#[derive(Debug, Clone)]
#[must_use = "a load does nothing until it is started"]
pub struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) reuse: Reuse,
    pub(crate) is_old: bool,
    pub(crate) gap: RangeInclusive<Duration>,
    pub(crate) request: Request,
    limit: u64,
    rate: Option<f64>,
    pub(crate) timeout: Duration,
    protocol: Protocol,
    pub(crate) slowly: bool,
}

/// What is requested.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Get(String),
    Echo,
    /// A body to where there is nothing.
    Astray,
}

/// For how many requests a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// For as many as the server answers.
    Kept,
    /// For one, which says `Connection: close`.
    OneRequest,
    /// For one, after which the client shuts down its side (`nc -N`).
    HalfClosed,
    /// For one, and it stays open until the last one is answered or lost.
    Held,
}

impl Load {
    /// A load on the server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: 1,
            reuse: Reuse::Kept,
            is_old: false,
            gap: Duration::ZERO..=Duration::ZERO,
            request: Request::Get("/".to_owned()),
            limit: u64::MAX,
            rate: None,
            timeout: Duration::from_secs(10),
            protocol: Protocol::default(),
            slowly: false,
        }
    }

    /// How many connections at once.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// A random pause of that length before a connection is used again.
    pub fn gap(mut self, gap: RangeInclusive<Duration>) -> Self {
        self.gap = gap;
        self
    }

    /// A new connection for every request, which says `Connection: close`.
    pub fn one_request(mut self) -> Self {
        self.reuse = Reuse::OneRequest;
        self
    }

    /// A new connection for every request. Once it is sent, the client shuts down its side of the connection, as `nc -N`
    /// and some health checks do.
    pub fn half_closed(mut self) -> Self {
        self.reuse = Reuse::HalfClosed;
        self
    }

    /// HTTP/1.0, and `Connection: keep-alive`, as `ab -k` has it.
    pub fn http_10(mut self) -> Self {
        self.is_old = true;
        self
    }

    /// A single request on each connection, and none is closed before the last one is answered or lost.
    pub fn hold(mut self) -> Self {
        self.reuse = Reuse::Held;
        self
    }

    /// `GET` this path. Only answers of `/` tell who answered.
    pub fn get(mut self, path: impl Into<String>) -> Self {
        self.request = Request::Get(path.into());
        self
    }

    /// `POST /echo` with a body that no other request has, and compare.
    pub fn echo(mut self) -> Self {
        self.request = Request::Echo;
        self
    }

    /// Like [`echo`](Self::echo), but the body is sent in four pieces with pauses of up to 50 ms between them.
    pub fn echo_slowly(mut self) -> Self {
        self.slowly = true;
        self.echo()
    }

    /// `POST` up to 64 KB in four pieces, with pauses of up to 50 ms, to `/nowhere`, and expect 404. That answer may come
    /// before the body has; the client sends all of it nevertheless, as most do.
    pub fn astray(mut self) -> Self {
        self.slowly = true;
        self.request = Request::Astray;
        self
    }

    /// So many requests on each connection before the first answer is read.
    pub fn pipeline(mut self, length: usize) -> Self {
        self.protocol = Protocol::Pipeline(length);
        self
    }

    /// HTTP/2 by prior knowledge, with so many requests at once on each connection.
    pub fn http2(mut self, streams: usize) -> Self {
        self.protocol = Protocol::Http2(streams);
        self
    }

    /// Server-sent events from `/events`; each one counts as an answer.
    pub fn events(mut self) -> Self {
        self.protocol = Protocol::Events;
        self
    }

    /// WebSockets at `/ws`; each message that comes back counts as an answer.
    pub fn websockets(mut self) -> Self {
        self.protocol = Protocol::WebSocket;
        self
    }

    /// Ends after so many requests over all connections.
    pub fn requests(mut self, requests: u64) -> Self {
        self.limit = requests;
        self
    }

    /// So many requests a second over all connections, evenly spread; fewer if the server is slow. However late one
    /// is sent because another one before it took long, its latency counts from when it was due.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// How long a connect may take, and from a request's first byte to the end of its answer.
    /// Default: 10 s, long enough that it is missed only by what hangs.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Begins, on the current tokio runtime.
    pub fn start(self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            left: AtomicU64::new(self.limit),
            pace: self.rate.map(|per_second| Pace::start(per_second, self.connections)),
            all_answered: Barrier::new(self.connections),
            load: self,
            tally: Mutex::new(Tally::new()),
            stopped,
        });
        let mut lanes = JoinSet::new();
        for number in 0..shared.load.connections {
            lanes.spawn(protocol::run(shared.load.protocol, Arc::clone(&shared), number));
        }
        Running { shared, lanes, stop }
    }

    /// Runs for that long, or until the requests are used up.
    pub async fn run_for(self, duration: Duration) -> Report {
        let mut running = self.start();
        tokio::select! {
            () = running.done() => {}
            () = tokio::time::sleep(duration) => {}
        }
        running.stop().await
    }
}

/// A load that has begun. Dropped, it ends at once and leaves requests unanswered: stop it.
#[derive(Debug)]
#[must_use = "dropped, it ends at once"]
pub struct Running {
    shared: Arc<Shared>,
    lanes: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// What it found out so far.
    pub fn report(&self) -> Report {
        self.shared.tally().report()
    }

    /// Waits until the requests are used up ([`Load::requests`]).
    pub async fn done(&mut self) {
        while self.lanes.join_next().await.is_some() {}
    }

    /// Sends no more requests, waits for the answers of those under way, and tells everything.
    pub async fn stop(mut self) -> Report {
        self.stop.send_replace(true);
        self.done().await;
        self.report()
    }
}

/// What the lanes of a load share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) load: Load,
    left: AtomicU64,
    tally: Mutex<Tally>,
    pub(crate) stopped: watch::Receiver<bool>,
    /// When requests are due, at a fixed rate.
    pub(crate) pace: Option<Arc<Pace>>,
    /// Where lanes wait for each other before they close what they [hold](Load::hold).
    pub(crate) all_answered: Barrier,
}

impl Shared {
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is another request to send.
    pub(crate) fn take_turn(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        !*self.stopped.borrow() && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}
