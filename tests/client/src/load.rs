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

/// A load to make. By default: one keep-alive connection, `GET /`, without pause and without end.
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

/// The kind of request.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Get(String),
    Echo,
    /// A body to a path that does not exist.
    Astray,
}

/// For how many requests a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// As many as the server answers.
    Kept,
    /// One, with `Connection: close`.
    OneRequest,
    /// One, after which the client ends its half (`nc -N`).
    HalfClosed,
    /// One. The connection stays open until the last request is answered or lost.
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

    /// The number of simultaneous connections.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// A random pause in this range before a connection is used again.
    pub fn gap(mut self, gap: RangeInclusive<Duration>) -> Self {
        self.gap = gap;
        self
    }

    /// A new connection for every request, with `Connection: close`.
    pub fn one_request(mut self) -> Self {
        self.reuse = Reuse::OneRequest;
        self
    }

    /// A new connection for every request. Once the request is sent, the client ends its half, like `nc -N`
    /// and some health checks.
    pub fn half_closed(mut self) -> Self {
        self.reuse = Reuse::HalfClosed;
        self
    }

    /// HTTP/1.0 with `Connection: keep-alive`, like `ab -k`.
    pub fn http_10(mut self) -> Self {
        self.is_old = true;
        self
    }

    /// A single request on each connection. No connection is closed before the last request is answered or
    /// lost.
    pub fn hold(mut self) -> Self {
        self.reuse = Reuse::Held;
        self
    }

    /// `GET` this path. Only the responses of `/` name the worker.
    pub fn get(mut self, path: impl Into<String>) -> Self {
        self.request = Request::Get(path.into());
        self
    }

    /// `POST /echo` with a body that no other request has, and compare the response.
    pub fn echo(mut self) -> Self {
        self.request = Request::Echo;
        self
    }

    /// Like [`echo`](Self::echo), but the body is sent in four pieces with pauses of up to 50 ms between them.
    pub fn echo_slowly(mut self) -> Self {
        self.slowly = true;
        self.echo()
    }

    /// `POST` up to 64 KB to `/nowhere`, in four pieces with pauses of up to 50 ms, and expect 404. The
    /// response may arrive before the body is sent. The client still sends all of it, as most clients do.
    pub fn astray(mut self) -> Self {
        self.slowly = true;
        self.request = Request::Astray;
        self
    }

    /// Sends this many requests on each connection before it reads the first response.
    pub fn pipeline(mut self, length: usize) -> Self {
        self.protocol = Protocol::Pipeline(length);
        self
    }

    /// HTTP/2 with prior knowledge, with this many simultaneous requests on each connection.
    pub fn http2(mut self, streams: usize) -> Self {
        self.protocol = Protocol::Http2(streams);
        self
    }

    /// Server-sent events from `/events`. Each event counts as a response.
    pub fn events(mut self) -> Self {
        self.protocol = Protocol::Events;
        self
    }

    /// WebSockets at `/ws`. Each message that comes back counts as a response.
    pub fn websockets(mut self) -> Self {
        self.protocol = Protocol::WebSocket;
        self
    }

    /// Ends after this many requests over all connections.
    pub fn requests(mut self, requests: u64) -> Self {
        self.limit = requests;
        self
    }

    /// Sends this many requests per second over all connections, evenly spread, or fewer if the server is
    /// slow. If an earlier request delays one, its latency still counts from when it was due.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// The limit for a connect, and for a request from its first byte to the end of its response. Default: 10
    /// s, long enough that only a hang exceeds it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts the load on the current tokio runtime.
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

    /// Runs for this long, or until all requests are sent.
    pub async fn run_for(self, duration: Duration) -> Report {
        let mut running = self.start();
        tokio::select! {
            () = running.done() => {}
            () = tokio::time::sleep(duration) => {}
        }
        running.stop().await
    }
}

/// A running load. If dropped, it ends at once and abandons its requests, so call `stop`.
#[derive(Debug)]
#[must_use = "dropped, it ends at once"]
pub struct Running {
    shared: Arc<Shared>,
    lanes: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// The report so far.
    pub fn report(&self) -> Report {
        self.shared.tally().report()
    }

    /// Waits until all requests are sent ([`Load::requests`]).
    pub async fn done(&mut self) {
        while self.lanes.join_next().await.is_some() {}
    }

    /// Sends no more requests, waits for the responses to those in progress, and returns the report.
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
    /// Lanes wait here for each other before they close [held](Load::hold) connections.
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
