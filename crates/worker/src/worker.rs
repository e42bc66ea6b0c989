//! The life of a worker: take the listeners, send READY=1, serve, drain.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;

use crate::accept::{Acceptor, Room};
use crate::connection::{Connections, Manners};
use crate::crowd::Crowd;
use crate::limits::{FOREVER, Limits};
use crate::recycle::Enough;
use crate::{Accept, Application, Bound, Drain, Error, listener, notify};

/// A worker and its settings. A time may have any value of [`Duration`]; the worker treats more than 30 years
/// as 30 years.
///
/// ```no_run
/// use std::time::Duration;
/// use app_cluster_worker::Worker;
/// use axum::{Router, routing::get};
///
/// # async fn run() -> Result<(), app_cluster_worker::Error> {
/// let worker = Worker::new().linger(Duration::from_secs(5));
/// let drain = worker.drain();
/// let router = Router::new().route(
///     "/events",
///     get(|| async move {
///         drain.begun().await;
///         "no more events\n"
///     }),
/// );
/// worker.serve(router).await
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a worker does nothing until it serves"]
pub struct Worker {
    listener: String,
    address: Option<SocketAddr>,
    linger: Duration,
    drain_timeout: Duration,
    goodbye: Duration,
    limits: Limits,
    pub(crate) max_connections: usize,
    pub(crate) accept: Accept,
    pub(crate) enough: Enough,
    drain: Drain,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            listener: "http".to_owned(),
            address: None,
            linger: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(30),
            goodbye: Duration::from_secs(3),
            limits: Limits::default(),
            max_connections: usize::MAX,
            accept: Accept::default(),
            enough: Enough::default(),
            drain: Drain::default(),
        }
    }
}

impl Worker {
    /// A worker with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Like [`new`](Self::new), for a program that you also want to try without systemd: `cargo run --
    /// --listen 127.0.0.1:3000` opens that port itself ([`listen`](Self::listen)). Other arguments are
    /// ignored.
    ///
    /// # Errors
    /// [`Error::Address`]: the value of `--listen` is not an address.
    pub fn from_arguments() -> Result<Self, Error> {
        let address = listener::development_address(std::env::args_os())?;
        Ok(Self { address, ..Self::default() })
    }

    /// The name of the listener, `FileDescriptorName=` of the socket unit. Default: `http`.
    pub fn listener(mut self, name: impl Into<String>) -> Self {
        self.listener = name.into();
        self
    }

    /// For development only: without systemd, serve on this address. The worker logs a warning about it. In a
    /// unit the worker ignores the address: without a socket from systemd it does not start.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// How long an idle connection stays open when the worker drains. If the client sends its next request
    /// within that time, the worker answers it. Default: 2 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger.min(FOREVER);
        self
    }

    /// How long the whole drain may take. Then the worker closes the remaining connections by force. Default:
    /// 30 s. `TimeoutStopSec=` of the unit should be longer, so that the worker can count and log them.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout.min(FOREVER);
        self
    }

    /// How long a WebSocket client may take to answer the Close 1001 that a draining worker sends between two
    /// frames of the application. Default: 3 s.
    pub fn goodbye(mut self, goodbye: Duration) -> Self {
        self.goodbye = goodbye.min(FOREVER);
        self
    }

    /// How long a new connection may be silent. Default: 10 s.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.limits.first_byte = timeout.min(FOREVER);
        self
    }

    /// How long the head of an HTTP/1.1 request may take, from its first byte to its last. Default: 10 s.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.limits.head = timeout.min(FOREVER);
        self
    }

    /// How long a connection may be idle between a response and the next request. This should be longer than
    /// a proxy in front keeps it (60 s in nginx and HAProxy), so that the proxy closes first. Default: 75 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle = timeout.min(FOREVER);
        self
    }

    /// How long a client may keep a handler waiting for the next piece of a body. After that the worker
    /// answers 408. Default: 30 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.limits.body = timeout.min(FOREVER);
        self
    }

    /// How long a client may read nothing of a response. After that the worker closes the connection.
    /// Default: 30 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write = timeout.min(FOREVER);
        self
    }

    /// The largest head of a request in bytes, at least 8 KiB. The worker answers a larger one with 431.
    /// Default: 64 KiB.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.limits.max_head = bytes.max(8 * 1024);
        self
    }

    /// The largest body of a request in bytes. The worker answers a larger one with 413. By default only the
    /// limits of axum's extractors apply.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.limits.max_body = Some(bytes);
        self
    }

    /// How many requests an HTTP/2 connection may have at once, at least 1. A client keeps further requests
    /// back. If it does not, the worker refuses them, and the client can send them again (REFUSED_STREAM, RFC
    /// 9113 §8.7). The memory that a connection may cost grows with this number. Default: 100.
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.limits.max_streams = streams.max(1);
        self
    }

    /// How many connections the worker serves at once, and never more than seven eighths of `LimitNOFILE=`.
    /// Further connections wait in the accept queue, or a sibling serves them. A WebSocket over HTTP/2 counts
    /// as two more. By default only the limit by `LimitNOFILE=` applies.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// How the worker shares connections with its siblings. Default: [`Accept::Fair`].
    pub fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// Tells handlers and background tasks when this worker drains. They can also delay its end.
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Takes the listeners and does not serve yet, for programs that need the addresses or counters. This
    /// removes the listeners from the environment. So call it once, and before threads read the environment
    /// through C.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn bind(self) -> Result<Bound, Error> {
        Bound::new(listener::take(&self.listener, self.address)?, self)
    }

    /// [Takes the listeners](Self::bind) and [serves](Bound::serve) until the worker has drained.
    ///
    /// # Errors
    /// See [`Error`]. Once the worker is ready, it returns none.
    pub async fn serve(self, application: impl Application) -> Result<(), Error> {
        self.bind()?.serve(application).await
    }

    /// Serves until `stop`, then drains. Returns how many connections had to be closed by force.
    pub(crate) async fn run(
        self,
        mut acceptors: Vec<Acceptor>,
        room: Arc<Room>,
        router: Router,
        stop: impl Future<Output = ()>,
    ) -> usize {
        let manners = Manners { linger: self.linger, goodbye: self.goodbye };
        let connections =
            Connections::new(router, self.drain.clone(), Arc::clone(&room), self.limits, manners);
        let connections = Arc::new(connections);
        let tasks = TaskTracker::new();
        let crowd = Crowd::default();
        tokio::select! {
            biased;
            () = stop => {}
            () = accept_all(&mut acceptors, &connections, &tasks, &crowd) => {}
            () = crowd.clean_up(&tasks) => {}
        }
        // Connections that the worker has not accepted stay in the accept queue, for its siblings.
        drop(acceptors);
        let begun = Instant::now();
        room.slot().draining();
        self.drain.begin();
        tracing::info!(connections = tasks.len(), "draining {}", notify::count(tasks.len(), "connection"));
        let interrupted = interrupted();
        let has_ended = tokio::select! {
            has_ended = self.drain.wind_down(&tasks, self.drain_timeout) => has_ended,
            () = interrupted => false,
        };
        if !has_ended {
            connections.cut();
            tasks.wait().await;
        }
        report(begun.elapsed(), connections.forced());
        connections.forced()
    }
}

async fn accept_all(
    acceptors: &mut [Acceptor],
    connections: &Arc<Connections>,
    tasks: &TaskTracker,
    crowd: &Crowd,
) {
    join_all(acceptors.iter_mut().map(|acceptor| accept(acceptor, connections, tasks, crowd))).await;
}

async fn accept(
    acceptor: &mut Acceptor,
    connections: &Arc<Connections>,
    tasks: &TaskTracker,
    crowd: &Crowd,
) -> Infallible {
    loop {
        let (accepted, place) = acceptor.next().await;
        let connection = Arc::clone(connections).serve(accepted);
        tasks.spawn(async move {
            connection.await;
            drop(place);
        });
        crowd.counts(tasks.len());
    }
}

/// Completes at the next Ctrl-C. A user at a terminal who presses it again does not want to wait for the
/// drain.
fn interrupted() -> impl Future<Output = ()> {
    let again = signal(SignalKind::interrupt());
    async {
        match again {
            Ok(mut again) => drop(again.recv().await),
            Err(_) => std::future::pending().await,
        }
    }
}

fn report(took: Duration, forced: usize) {
    let took_ms = took.as_millis() as u64;
    let sentence = match forced {
        0 => format!("drained in {took_ms} ms"),
        _ => format!("drained in {took_ms} ms, closed {} by force", notify::count(forced, "connection")),
    };
    notify::drained(&sentence);
    if forced == 0 {
        tracing::info!(took_ms, forced, "{sentence}");
    } else {
        tracing::warn!(took_ms, forced, "{sentence}");
    }
}

#[cfg(test)]
mod tests;
