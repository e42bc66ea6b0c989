//! A worker that has its listeners and no connection yet.

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

/// The counters of this worker. Clones read the same counters.
#[derive(Debug, Clone)]
pub struct Counts(Slot);

impl Counts {
    /// The current figures. `app-cluster status` shows the same.
    pub fn read(&self) -> Counters {
        self.0.counters()
    }
}

impl Bound {
    pub(crate) fn new(listeners: Vec<Listener>, worker: Worker) -> Result<Self, Error> {
        let addresses = listeners.iter().map(Listener::address).collect::<Result<_, _>>()?;
        Ok(Self { worker, listeners, addresses, slot: place::claim() })
    }

    /// The addresses of the listeners, in the order of the socket unit. There is at least one.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The counters of this worker, for your own metrics.
    pub fn counts(&self) -> Counts {
        Counts(self.slot.clone())
    }

    /// Tells handlers and background tasks when this worker drains. They can also delay its end.
    pub fn drain(&self) -> Drain {
        self.worker.drain()
    }

    /// Serves until SIGTERM, SIGINT or [`Drain::begin`], drains, and returns. Over TCP each request has the
    /// client's address as an extension: [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo).
    ///
    /// The worker ignores SIGHUP. By default the signal would end the process and cut requests in flight. It
    /// asks a server to read its configuration again, and for that the orchestrator replaces the worker.
    ///
    /// The calling thread asks the scheduler for short slices (sched_setattr(2)), so that responses do not
    /// wait behind programs that compute for longer. On a single-threaded runtime that is the thread that
    /// serves.
    ///
    /// # Errors
    /// See [`Error`]. Once the worker is ready, it returns none.
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
