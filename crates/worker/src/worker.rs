//! The life of a worker: take the listener, say READY=1, serve, drain.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::connection::Connections;
use crate::{Draining, Error, accept, drain, listener, notify};

/// A worker and its settings.
///
/// ```no_run
/// use std::time::Duration;
/// use app_cluster_worker::Worker;
/// use axum::{Router, routing::get};
///
/// # async fn run() -> Result<(), app_cluster_worker::Error> {
/// let worker = Worker::new().linger(Duration::from_secs(5));
/// let draining = worker.draining();
/// let router = Router::new().route(
///     "/events",
///     get(|| async move {
///         draining.begun().await;
///         "no more events from me\n"
///     }),
/// );
/// worker.serve(router).await
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a worker does nothing until it serves"]
pub struct Worker {
    listener: String,
    linger: Duration,
    drain_timeout: Duration,
    draining: Draining,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            listener: "http".to_owned(),
            linger: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(30),
            draining: Draining::default(),
        }
    }
}

impl Worker {
    /// A worker with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the listener, `FileDescriptorName=` of the socket unit. Default: `http`.
    pub fn listener(mut self, name: impl Into<String>) -> Self {
        self.listener = name.into();
        self
    }

    /// How long an idle connection stays open when the worker drains. A client that sends its next
    /// request within that time is answered. Default: 2 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How long the whole drain may take before what is left is closed by force. Default: 30 s.
    /// `TimeoutStopSec=` of the unit should be longer, so that the worker gets to count and log it.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Tells handlers whether this worker drains.
    pub fn draining(&self) -> Draining {
        self.draining.clone()
    }

    /// Serves `router` until SIGTERM or SIGINT, drains, and returns. It takes the listener out of
    /// the environment, so call it once, and before threads read the environment through C.
    ///
    /// # Errors
    /// See [`Error`]. Once the worker is ready there are none.
    pub async fn serve(self, router: Router) -> Result<(), Error> {
        let listener = listener::from_systemd(&self.listener)?;
        let address = listener.local_addr().map_err(Error::system("read the socket's address"))?;
        let listener = TcpListener::from_std(listener).map_err(Error::system("watch the socket"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::system("handle SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::system("handle SIGINT"))?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let _watchdog = notify::feed_watchdog();
        notify::ready(address);
        tracing::info!(%address, "ready, accepting connections on {address}");
        self.run(listener, router, stop).await;
        Ok(())
    }

    /// Serves until `stop`, then drains. Returns how many connections had to be closed by force.
    async fn run(self, listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> usize {
        let connections = Arc::new(Connections::new(router, self.draining.clone(), self.linger));
        let tasks = TaskTracker::new();
        tokio::select! {
            biased;
            () = stop => {}
            () = accept_all(&listener, &connections, &tasks) => {}
        }
        // Connections that nobody has accepted belong to the siblings.
        drop(listener);
        let begun = Instant::now();
        self.draining.begin();
        tracing::info!(connections = tasks.len(), "draining {}", notify::count(tasks.len(), "connection"));
        if !drain::wind_down(&tasks, self.drain_timeout).await {
            connections.cut();
            tasks.wait().await;
        }
        report(begun.elapsed(), connections.forced());
        connections.forced()
    }
}

async fn accept_all(listener: &TcpListener, connections: &Arc<Connections>, tasks: &TaskTracker) {
    let slots = Arc::new(Semaphore::new(accept::slots()));
    // The semaphore is never closed.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = accept::accept(listener).await;
        let connection = Arc::clone(connections).serve(stream);
        tasks.spawn(async move {
            connection.await;
            drop(slot);
        });
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
