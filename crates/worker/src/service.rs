//! From a request to its response: the application, and what a worker adds for its clients.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use http::header::{CONNECTION, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Request, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use pin_project_lite::pin_project;
use scoreboard::Timeout;
use tower::Service as _;

use crate::answer::Answer;
use crate::exchange::Busy;
use crate::host;
use crate::limits::Limits;
use crate::upload::{Discarded, Receipt, Rest, Upload};

pin_project! {
    /// One request on its way to its response. A handler that panics loses only its own request. The same
    /// holds for a body that is too large or stalls.
    ///
    /// It is one hand-written future, because each nested future would copy the request once more.
    pub(crate) struct Answering<F> {
        #[pin]
        doing: Doing,
        receipt: Receipt,
        // How many bytes of an unread body the worker reads in the application's place. HTTP/2 does not need
        // this: there, the next request does not begin where a body ends.
        unwanted: Option<u64>,
        // Present until the request is over.
        end: Option<(Busy, F)>,
    }
}

pin_project! {
    #[project = DoingNow]
    enum Doing {
        Asking { #[pin] route: RouteFuture<Infallible> },
        Refusing { status: StatusCode },
        Discarding { rest: Rest, answer: Option<Box<Response>> },
    }
}

impl<F: FnOnce(Response, Busy) -> http::Response<Answer>> Answering<F> {
    /// Asks the application. `finish` turns its response into that of the protocol.
    pub(crate) fn new(
        router: &Router,
        limits: &Limits,
        busy: Busy,
        mut request: Request<Incoming>,
        finish: F,
    ) -> Self {
        if let Some(peer) = busy.peer() {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        let mut receipt = Receipt::default();
        let unwanted = unwanted(&request);
        let doing = if let Some(status) = refusal(&request, limits) {
            receipt = Receipt::unread(request.into_body());
            Doing::Refusing { status }
        } else {
            let request = request.map(|body| {
                if body.is_end_stream() {
                    return Body::new(body);
                }
                let (body, of_it) = Upload::watch(body, limits, busy.uploading(), unwanted.is_some());
                receipt = of_it;
                body
            });
            // A router is always ready to be called.
            match catch_unwind(AssertUnwindSafe(|| router.clone().call(request))) {
                Ok(route) => Doing::Asking { route },
                Err(_) => Doing::Refusing { status: panicked(&busy) },
            }
        };
        Self { doing, receipt, unwanted, end: Some((busy, finish)) }
    }
}

impl<F: FnOnce(Response, Busy) -> http::Response<Answer>> Future for Answering<F> {
    type Output = Result<http::Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some((busy, _)) = this.end.as_mut() else { return Poll::Pending };
        let answer = loop {
            let answer = match this.doing.as_mut().project() {
                DoingNow::Discarding { rest, answer } => {
                    let discarded = ready!(rest.poll_discard(context));
                    break answer.take().map_or_else(Response::default, |answer| unread(*answer, discarded));
                }
                DoingNow::Refusing { status } => status.into_response(),
                DoingNow::Asking { route } => match catch_unwind(AssertUnwindSafe(|| route.poll(context))) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(answered)) => heard(infallible(answered), this.receipt, busy),
                    Err(_) => panicked(busy).into_response(),
                },
            };
            busy.answered(answer.status().as_u16());
            match this.unwanted.and_then(|most| Some(Rest::new(this.receipt.take_rest()?, most))) {
                Some(rest) => this.doing.set(Doing::Discarding { rest, answer: Some(Box::new(answer)) }),
                None if this.unwanted.is_some() && this.receipt.is_broken() => {
                    break unread(answer, Discarded::InPart);
                }
                None => break answer,
            }
        };
        match this.end.take() {
            Some((busy, finish)) => Poll::Ready(Ok(finish(answer, busy))),
            None => Poll::Pending,
        }
    }
}

/// The status with which the worker refuses a request that the application must not see.
fn refusal(request: &Request<Incoming>, limits: &Limits) -> Option<StatusCode> {
    if limits.max_body.is_some_and(|most| request.body().size_hint().lower() > most) {
        return Some(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if !is_just_chunked(request.headers()) {
        return Some(StatusCode::NOT_IMPLEMENTED);
    }
    (!host::is_valid(request)).then_some(StatusCode::BAD_REQUEST)
}

/// Whether the body has no transfer coding other than chunked. hyper checks only the last coding, and the
/// application would get a body that is still encoded (RFC 9112 §6.1).
fn is_just_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// How much of an unread body the worker reads.
fn unwanted(request: &Request<Incoming>) -> Option<u64> {
    if request.version() == Version::HTTP_2 || request.body().is_end_stream() {
        return None;
    }
    // Its client waits to be asked for the body (RFC 9110 §10.1.1), and to read would be to ask.
    let is_kept_back = request.headers().contains_key(EXPECT);
    Some(if is_kept_back { 0 } else { Rest::MOST })
}

/// If a body is not read to its end, the next request cannot be found, nor the first byte of another
/// protocol. So the connection ends.
fn unread(mut answer: Response, discarded: Discarded) -> Response {
    if discarded == Discarded::InPart {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            answer = StatusCode::BAD_REQUEST.into_response();
        }
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// The application's response. If the handler only saw the body break off, it answers 400, and the worker's
/// own status replaces that.
fn heard(answer: Response, receipt: &Receipt, busy: &Busy) -> Response {
    match receipt.cut() {
        None => answer,
        Some(status) => {
            if status == StatusCode::REQUEST_TIMEOUT {
                busy.slot().timed_out(Timeout::Body);
            }
            status.into_response()
        }
    }
}

fn panicked(busy: &Busy) -> StatusCode {
    busy.slot().panicked();
    tracing::error!(path = busy.path(), "a handler panicked, answering 500");
    StatusCode::INTERNAL_SERVER_ERROR
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
