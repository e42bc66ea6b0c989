//! A worker between its listeners and its first connection.

use std::sync::Arc;

use scoreboard::{Counters, Slot};
use tokio::signal::unix::{SignalKind, signal};

use crate::accept::{self, Acceptor, Room};
use crate::listener::Listener;
use crate::{Accept, Address, Application, Drain, Error, Worker, address, notify, place, slice};

/// A worker that has its listeners and does not serve yet ([`Worker::bind`]).
///
/// ```no_run
/// use app_cluster_worker::Worker;
/// use axum::{Router, routing::get};
///
/// # async fn run() -> Result<(), app_cluster_worker::Error> {
/// let bound = Worker::new().listen(([127, 0, 0, 1], 0).into()).bind()?;
/// println!("listening on {}", bound.addresses()[0]);
/// let counts = bound.counts();
/// let router = Router::new().route("/requests", get(async move || counts.read().requests.to_string()));
/// bound.serve(router).await
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a worker does nothing until it serves"]
pub struct Bound {
    worker: Worker,
    listeners: Vec<Listener>,
    addresses: Vec<Address>,
    slot: Slot,
}

/// What this worker counts. Clones tell the same.
#[derive(Debug, Clone)]
pub struct Counts(Slot);

impl Counts {
    /// The figures of now: those that `app-cluster status` shows.
    pub fn read(&self) -> Counters {
        self.0.counters()
    }
}

impl Bound {
    pub(crate) fn new(listeners: Vec<Listener>, worker: Worker) -> Result<Self, Error> {
        let addresses = listeners.iter().map(Listener::address).collect::<Result<_, _>>()?;
        Ok(Self { worker, listeners, addresses, slot: place::claim() })
    }

    /// Where it listens, in the order of the socket unit: at one address at least.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// What it counts, for metrics of one's own.
    pub fn counts(&self) -> Counts {
        Counts(self.slot.clone())
    }

    /// Tells handlers and background tasks when this worker drains, and lets them hold its end.
    pub fn drain(&self) -> Drain {
        self.worker.drain()
    }

    /// Serves until SIGTERM, SIGINT or [`Drain::begin`], drains, and returns. With TCP each request has its client's
    /// address as an extension: [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo).
    ///
    /// SIGHUP is ignored: it would cut what is in flight, and asks servers to read their configuration again, for which a
    /// worker is replaced.
    ///
    /// For the calling thread it asks the scheduler for short slices (sched_setattr(2)), so that answers do not
    /// wait behind those who compute for longer: on a runtime of one thread that is the one that serves.
    ///
    /// # Errors
    /// See [`Error`]. Once the worker is ready there are none.
    pub async fn serve(self, application: impl Application) -> Result<(), Error> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::system("handle SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::system("handle SIGINT"))?;
        let _hangups = signal(SignalKind::hangup()).map_err(Error::system("ignore SIGHUP"))?;
        let drain = self.drain();
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = drain.begun() => {}
            }
        };
        slice::shorten();
        let Self { worker, listeners, addresses, slot } = self;
        let room = Arc::new(Room::new(slot.clone(), worker.max_connections.min(accept::slots())));
        let acceptors =
            acceptors(worker.accept, listeners, &room).map_err(Error::system("watch the socket"))?;
        let _watchdog = notify::feed_watchdog();
        slot.ready();
        let addresses = address::list(&addresses);
        notify::ready(&addresses);
        let _enough = worker.enough.watch(slot.clone());
        tracing::info!(addresses, "ready, accepting connections on {addresses}");
        worker.run(acceptors, room, application.into_router(), stop).await;
        Ok(())
    }
}

pub(crate) fn acceptors(
    accept: Accept,
    listeners: Vec<Listener>,
    room: &Arc<Room>,
) -> std::io::Result<Vec<Acceptor>> {
    listeners.into_iter().map(|listener| Acceptor::new(listener, Arc::clone(room), accept)).collect()
}
