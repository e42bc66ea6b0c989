//! One connection, from accept to close.

mod http1;
mod http2;
mod inner;
pub(crate) mod opening;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use scoreboard::{Ended, Slot, Timeout};
use tokio_util::sync::CancellationToken;

use self::opening::Opening;
use crate::Drain;
use crate::accept::Room;
use crate::exchange::Exchange;
use crate::half_closed::HalfClosed;
use crate::limits::{Limits, Overdue};
use crate::socket::Accepted;
use crate::stream::Stream;
use crate::woken::Woken;

/// What all connections of a worker share.
#[derive(Debug)]
pub(crate) struct Connections {
    http1: hyper::server::conn::http1::Builder,
    http2: hyper::server::conn::http2::Builder<hyper_util::rt::TokioExecutor>,
    router: Router,
    limits: Limits,
    manners: Manners,
    drain: Drain,
    room: Arc<Room>,
    slot: Slot,
    cut: CancellationToken,
    forced: AtomicUsize,
}

/// How the worker closes connections in a drain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// How long an idle connection stays open when the worker drains.
    pub(crate) linger: Duration,
    /// How long the peer of a WebSocket may take to answer Close.
    pub(crate) goodbye: Duration,
}

impl Connections {
    pub(crate) fn new(
        router: Router,
        drain: Drain,
        room: Arc<Room>,
        limits: Limits,
        manners: Manners,
    ) -> Self {
        let slot = room.slot().clone();
        Self {
            http1: http1::builder(&limits),
            http2: http2::builder(&limits),
            router,
            limits,
            manners,
            drain,
            room,
            slot,
            cut: CancellationToken::new(),
            forced: AtomicUsize::new(0),
        }
    }

    /// Serves one connection until it is closed or cut. The connection is counted from this call, not from
    /// the first poll. So the siblings see it at once, and the next connection may go to one of them.
    pub(crate) fn serve(self: Arc<Self>, accepted: Accepted) -> impl Future<Output = ()> + Send {
        let counted = self.slot.accepted();
        let slot = self.slot.clone();
        async move { counted.end(self.live(accepted, Some(slot)).await) }
    }

    /// From the first byte to the last. Counts the bytes on `slot`. Returns how the connection ended.
    async fn live(self: Arc<Self>, accepted: Accepted, slot: Option<Slot>) -> Ended {
        // An inner connection is cut with the connection that carries it, and counted there.
        let is_inner = slot.is_none();
        let exchange = Arc::new(Exchange::of(accepted.peer));
        let stream = Stream::new(accepted.socket, Arc::clone(&exchange), slot);
        let cut = pin!(self.cut.cancelled());
        let closed = tokio::select! {
            biased;
            closed = self.converse(stream, &exchange) => closed,
            () = Woken::new(cut) => {
                if exchange.is_idle() {
                    return Ended::Idle;
                }
                if !is_inner {
                    self.force(&exchange);
                }
                return Ended::Forced;
            }
        };
        let ended = if exchange.has_lingered() { Ended::Idle } else { Ended::Finished };
        // Everything has been answered, so closing this loses nothing.
        if let Some(closed) = closed {
            tokio::select! {
                () = closed.linger(&self.drain) => {}
                () = self.cut.cancelled() => {}
            }
        }
        ended
    }

    /// Until the last response is sent. Then only the peer's half is still open.
    async fn converse(self: &Arc<Self>, stream: Stream, exchange: &Arc<Exchange>) -> Option<HalfClosed> {
        match self.open(stream, exchange).await {
            Opening::Http1(stream) => self.converse_http1(stream, exchange).await,
            Opening::Http2(stream) => {
                self.converse_http2(stream, exchange).await;
                None
            }
            Opening::Silent(closed) => Some(closed),
        }
    }

    /// Cuts every connection. Returns without waiting for their end.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// How many connections were cut before all their requests were answered.
    pub(crate) fn forced(&self) -> usize {
        self.forced.load(Ordering::Relaxed)
    }

    /// The linger time of one connection. It is up to a quarter longer, so that the clients of a worker do
    /// not all reconnect at the same moment.
    fn linger(&self) -> Duration {
        self.manners.linger.mul_f64(1.0 + fastrand::f64() / 4.0)
    }

    fn note_overdue(&self, overdue: Overdue) {
        self.slot.timed_out(match overdue {
            Overdue::FirstByte => Timeout::FirstByte,
            Overdue::Head => Timeout::Head,
            Overdue::Idle => Timeout::Idle,
            Overdue::Write | Overdue::End => Timeout::Write,
            // The connection was idle.
            Overdue::Lingered => return,
        });
        tracing::debug!(?overdue, "a client was too slow, closing its connection");
    }

    fn force(&self, exchange: &Exchange) {
        self.forced.fetch_add(1, Ordering::Relaxed);
        match exchange.current() {
            Some(current) => tracing::warn!(
                method = %current.method,
                path = current.path,
                age_ms = current.since.elapsed().as_millis() as u64,
                "a request did not end within the drain deadline, its connection is closed by force"
            ),
            None if exchange.is_upgraded() || exchange.carries() => tracing::warn!(
                "an application's protocol did not end within the drain deadline, its connection is closed by force"
            ),
            None => tracing::warn!(
                "a request was not received in full within the drain deadline, its connection is closed by force"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
