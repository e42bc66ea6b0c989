//! HTTP/1.1. It cannot tell an idle client that the server is about to close the connection.

use std::pin::{self, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, StatusCode, Version};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::Connections;
use crate::answer::Answer;
use crate::exchange::{Busy, Exchange};
use crate::half_closed::HalfClosed;
use crate::limits::{Limits, Overdue};
use crate::service::Answering;
use crate::stream::Stream;
use crate::websocket::Goodbye;
use crate::woken::Woken;

pub(super) fn builder(limits: &Limits) -> Builder {
    let mut http = Builder::new();
    // `Exchange` has the deadlines. The buffer has to hold more than the largest head, because hyper checks
    // whether it is full before it checks whether the head has ended.
    http.header_read_timeout(None)
        .max_header_size(limits.max_head)
        .max_buf_size(limits.max_head.max(8192) * 2);
    http
}

/// How an HTTP conversation ended.
enum Ended {
    /// The peer ended it, it failed, or a response had `Connection: close`.
    Over(Stream),
    /// It was idle for long enough. The peer has not been told.
    Idle(Stream),
    /// The client does not read. The stream was dropped without a close.
    Gone,
    /// The application has the stream.
    Upgraded,
}

impl Connections {
    /// When asked to, hyper gives up an idle connection without checking whether a request has arrived
    /// meanwhile. So this method checks. If a request has arrived, hyper gets the same stream again, with the
    /// bytes that arrived.
    pub(super) async fn converse_http1(
        &self,
        mut stream: Stream,
        exchange: &Arc<Exchange>,
    ) -> Option<HalfClosed> {
        loop {
            match self.speak(stream, exchange).await {
                Ended::Over(rest) => return Some(rest.abandon()),
                Ended::Idle(rest) => match rest.half_close() {
                    Ok(closed) => return Some(closed),
                    Err(rest) => stream = rest,
                },
                Ended::Gone => return None,
                Ended::Upgraded => {
                    self.leave_to_the_application(exchange).await;
                    return None;
                }
            }
        }
    }

    /// Waits until the application has ended its protocol. When the worker drains, it closes a WebSocket in
    /// the application's place.
    async fn leave_to_the_application(&self, exchange: &Exchange) {
        /// How long the application may hold a stream that has ended.
        const REST: Duration = Duration::from_secs(1);
        let Some(goodbye) = exchange.goodbye() else { return exchange.closed().await };
        let leave = async {
            self.drain.begun().await;
            goodbye.take_leave(self.manners.goodbye).await;
            tokio::time::sleep(REST).await;
        };
        tokio::select! {
            () = exchange.closed() => {}
            () = leave => {}
        }
    }

    async fn speak(&self, stream: Stream, exchange: &Arc<Exchange>) -> Ended {
        // The request counts as begun now, not at the first poll. In between, hyper checks whether the client
        // is still there. That check would look like an incomplete head.
        let answer = service_fn(|request| {
            let busy = exchange.begin(&request, &self.slot);
            let (version, is_tunnel) = (request.version(), request.method() == Method::CONNECT);
            let finish = move |answer, busy| self.finish_http1(exchange, version, is_tunnel, answer, busy);
            Answering::new(&self.router, &self.limits, busy, request, finish)
        });
        let mut http = self.http1.serve_connection(TokioIo::new(stream), answer).with_upgrades();
        let linger = self.linger();
        let mut asked_after = None;
        let mut is_cut = false;
        let result = loop {
            let overdue = pin!(exchange.overdue(&self.limits, &self.drain, linger));
            let overdue = tokio::select! {
                biased;
                result = &mut http => break result,
                overdue = Woken::new(overdue) => overdue,
            };
            if asked_after.is_none() || matches!(overdue, Overdue::Head | Overdue::Write) {
                self.note_overdue(overdue);
            }
            match overdue {
                Overdue::End => exchange.tell_end(),
                Overdue::FirstByte | Overdue::Idle | Overdue::Lingered if asked_after.is_none() => {
                    asked_after = Some(exchange.begun());
                    pin::Pin::new(&mut http).graceful_shutdown();
                }
                // The client does not read, so a reset destroys no response.
                Overdue::Write => return Ended::Gone,
                _ => {
                    is_cut = true;
                    break Ok(());
                }
            }
        };
        // A request that began after that got `Connection: close`, so it was the last one.
        let is_idle = result.is_ok() && !is_cut && asked_after == Some(exchange.begun());
        let Some(parts) = http.into_parts() else { return Ended::Upgraded };
        let rest = parts.io.into_inner().with_received(parts.read_buf);
        if is_idle { Ended::Idle(rest) } else { Ended::Over(rest) }
    }

    /// While the worker drains, every response has `Connection: close`. This also makes hyper close the
    /// connection after it.
    fn finish_http1(
        &self,
        exchange: &Exchange,
        version: Version,
        is_tunnel: bool,
        mut answer: Response,
        busy: Busy,
    ) -> http::Response<Answer> {
        let status = answer.status();
        if status == StatusCode::SWITCHING_PROTOCOLS || (is_tunnel && status.is_success()) {
            exchange.upgrade(goodbye(&answer));
        } else if self.drain.has_begun() || is_last(&answer) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            // hyper would add `keep-alive` to a 1.1 response for a 1.0 client that asked for it.
            *answer.version_mut() = version;
        }
        Answer::new(answer, &self.drain, busy)
    }
}

fn goodbye(answer: &Response) -> Option<Goodbye> {
    let protocol = answer.headers().get(UPGRADE)?;
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket").then(Goodbye::default)
}

/// Whether the application, or the state of the request's body, ends the connection with this response.
fn is_last(answer: &Response) -> bool {
    let close = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"close");
    answer.status() == StatusCode::REQUEST_TIMEOUT || answer.headers().get(CONNECTION).is_some_and(close)
}
