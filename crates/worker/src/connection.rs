//! One connection, from accept to close.

use std::pin::{self, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::Draining;
use crate::exchange::Exchange;
use crate::service;
use crate::stream::{HalfClosed, Stream};

/// What all connections of a worker have in common.
#[derive(Debug)]
pub(crate) struct Connections {
    http: http1::Builder,
    router: Router,
    linger: Duration,
    draining: Draining,
    cut: CancellationToken,
    forced: AtomicUsize,
}

impl Connections {
    pub(crate) fn new(router: Router, draining: Draining, linger: Duration) -> Self {
        // nginx and HAProxy keep idle connections to a server for 60 s; whoever closes first should be them.
        const IDLE: Duration = Duration::from_secs(75);
        // A head of more is answered with 431.
        const HEAD: usize = 64 * 1024;

        let mut http = http1::Builder::new();
        // Also bounds how long a connection may be idle: it runs from the end of one answer to the end of the next head.
        http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD);
        Self { http, router, linger, draining, cut: CancellationToken::new(), forced: AtomicUsize::new(0) }
    }

    /// Serves one connection until it is closed, or cut.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let exchange = Arc::new(Exchange::default());
        let conversation = self.converse(Stream::new(stream, Arc::clone(&exchange)), &exchange);
        let closed = tokio::select! {
            biased;
            closed = conversation => closed,
            () = self.cut.cancelled() => return self.force(&exchange),
        };
        tokio::select! {
            () = closed.linger() => {}
            () = self.cut.cancelled() => {}
        }
    }

    /// Ends every connection at once. Returns without waiting for that.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// How many connections were cut before everything on them had been answered.
    pub(crate) fn forced(&self) -> usize {
        self.forced.load(Ordering::Relaxed)
    }

    /// hyper lets go of a connection that is idle when it is asked to, without looking whether a
    /// request has arrived meanwhile. So this looks, and if one has, hyper is given the same stream
    /// again with the bytes that came.
    async fn converse(&self, mut stream: Stream, exchange: &Arc<Exchange>) -> HalfClosed {
        loop {
            let (ended, rest) = self.speak_http(stream, exchange).await;
            match ended {
                Ended::Over => return rest.abandon(),
                Ended::Idle => match rest.half_close() {
                    Ok(closed) => return closed,
                    Err(rest) => stream = rest,
                },
            }
        }
    }

    async fn speak_http(&self, stream: Stream, exchange: &Arc<Exchange>) -> (Ended, Stream) {
        let answer =
            service_fn(|request| service::answer(self.router.clone(), &self.draining, exchange, request));
        let mut http = self.http.serve_connection(stream, answer);
        let mut lingered = pin!(exchange.lingered(&self.draining, self.linger));
        let mut asked_after = None;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut http => break result,
                () = &mut lingered, if asked_after.is_none() => {
                    asked_after = Some(exchange.begun());
                    pin::Pin::new(&mut http).graceful_shutdown();
                }
            }
        };
        // A request that began after that was answered with `Connection: close`: it was the last one.
        let is_idle = result.is_ok() && asked_after == Some(exchange.begun());
        let parts = http.into_parts();
        let ended = if is_idle { Ended::Idle } else { Ended::Over };
        (ended, parts.io.with_received(parts.read_buf))
    }

    fn force(&self, exchange: &Exchange) {
        self.forced.fetch_add(1, Ordering::Relaxed);
        match exchange.current() {
            Some(current) => tracing::warn!(
                method = %current.method,
                path = current.uri.path(),
                age_ms = current.since.elapsed().as_millis() as u64,
                "a request did not end within the drain deadline, its connection is closed by force"
            ),
            None => tracing::warn!(
                "a request was not received in full within the drain deadline, its connection is closed by force"
            ),
        }
    }
}

/// How an HTTP conversation ended.
enum Ended {
    /// By the peer, an error, or an answer that said `Connection: close`.
    Over,
    /// Because it was idle for the linger time. The peer has not been told.
    Idle,
}

#[cfg(test)]
mod tests;
