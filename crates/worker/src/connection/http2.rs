//! HTTP/2. It can tell its client that the server takes no further requests.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::Either;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connections, inner};
use crate::Drain;
use crate::answer::Answer;
use crate::exchange::Exchange;
use crate::limits::{Limits, Overdue};
use crate::service::Answering;
use crate::stream::Stream;
use crate::woken::Woken;

/// How much of all bodies a client may send before handlers have read it. This limits the memory of a
/// connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// The same for one body. So a handler that does not read blocks no other body on the same connection.
const STREAM_WINDOW: u32 = 256 * 1024;
/// How much of a response is kept if the client does not read it. At this size, the worker asks the
/// application for no more.
const SEND_BUFFER: usize = 64 * 1024;

pub(super) fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    // A ping finds out that a peer is gone without a FIN.
    const PING: Duration = Duration::from_secs(20);
    let max_head = u32::try_from(limits.max_head).unwrap_or(u32::MAX);
    let mut http = Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_header_list_size(max_head)
        .max_concurrent_streams(limits.max_streams)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .enable_connect_protocol();
    http
}

impl Connections {
    /// Serves until the client goes or has been told to go. The client is first asked to send no new
    /// requests. After a round trip it is told that none is accepted (RFC 9113 §6.8). The worker answers
    /// every request that the client has begun.
    pub(super) async fn converse_http2(self: &Arc<Self>, stream: Stream, exchange: &Arc<Exchange>) {
        exchange.multiplex();
        let answer = service_fn(|request| {
            if inner::is_websocket(&request) {
                // Counted now, not at the first poll: a connection that carries a WebSocket is not idle.
                let carried = exchange.carry();
                return Either::Right(Arc::clone(self).answer_inside(request, exchange.peer, carried));
            }
            let busy = exchange.begin(&request, &self.slot);
            let drain = self.drain.clone();
            let finish = move |answer, busy| Answer::new(answer, &drain, busy);
            Either::Left(Answering::new(&self.router, &self.limits, busy, request, finish))
        });
        let mut http =
            self.http2.serve_connection(TokioIo::new(Gentle::new(stream, self.drain.clone())), answer);
        let leave = pin!(self.time_to_leave());
        let mut leave = Woken::new(leave);
        let mut is_asked = false;
        loop {
            let overdue = pin!(exchange.overdue(&self.limits, &self.drain, self.manners.linger));
            tokio::select! {
                biased;
                _ = &mut http => return,
                () = &mut leave, if !is_asked => {}
                overdue = Woken::new(overdue) => {
                    self.note_overdue(overdue);
                    if is_asked || overdue != Overdue::Idle {
                        return;
                    }
                    exchange.leave(Duration::ZERO);
                }
            }
            is_asked = true;
            Pin::new(&mut http).graceful_shutdown();
        }
    }

    /// Waits for a random part of the linger time. So the clients of a worker do not all reconnect at the
    /// same moment.
    async fn time_to_leave(&self) {
        self.drain.begun().await;
        tokio::time::sleep(self.manners.linger.mul_f64(fastrand::f64())).await;
    }
}

/// A stream whose end waits until the peer has read the last response.
enum Gentle {
    Open(Stream, Drain),
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl Gentle {
    fn new(stream: Stream, drain: Drain) -> Self {
        Self::Open(stream, drain)
    }

    fn open(&mut self) -> io::Result<Pin<&mut Stream>> {
        match self {
            Self::Open(stream, _) => Ok(Pin::new(stream)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Gentle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.open()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Gentle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.open()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        *self = match std::mem::replace(&mut *self, Self::Closed) {
            Self::Open(stream, drain) => {
                let closing = stream.abandon();
                Self::Closing(Box::pin(async move { closing.linger(&drain).await }))
            }
            other => other,
        };
        if let Self::Closing(lingering) = &mut *self {
            ready!(lingering.as_mut().poll(context));
            *self = Self::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
