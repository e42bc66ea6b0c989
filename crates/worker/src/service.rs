//! From a request to its answer: the application, plus what a worker owes its clients.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use http::{Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use pin_project_lite::pin_project;
use scoreboard::Timeout;
use tower::Service as _;

use crate::answer::Answer;
use crate::exchange::Busy;
use crate::limits::Limits;
use crate::upload::{Cut, Upload};

pin_project! {
    /// One request on its way to its answer. A handler that panics costs its own request and nobody else's; so does a
    /// body that is too large or stops coming.
    ///
    /// It is one future by hand, for each that is nested in another would copy the request once more.
    pub(crate) struct Answering<F> {
        #[pin]
        doing: Doing,
        cut: Cut,
        // Until it is over.
        end: Option<(Busy, F)>,
    }
}

pin_project! {
    #[project = DoingNow]
    enum Doing {
        Asking { #[pin] route: RouteFuture<Infallible> },
        Refusing { status: StatusCode },
    }
}

impl<F: FnOnce(Response, Busy) -> http::Response<Answer<Busy>>> Answering<F> {
    /// Asks the application. `finish` makes of its answer that of the protocol.
    pub(crate) fn new(
        router: &Router,
        limits: &Limits,
        busy: Busy,
        request: Request<Incoming>,
        finish: F,
    ) -> Self {
        let is_too_large = limits.max_body.is_some_and(|most| request.body().size_hint().lower() > most);
        let mut cut = Cut::default();
        let doing = if is_too_large {
            Doing::Refusing { status: StatusCode::PAYLOAD_TOO_LARGE }
        } else {
            let request = request.map(|body| {
                if body.is_end_stream() {
                    return Body::new(body);
                }
                let (body, may_be_cut) = Upload::watch(body, limits);
                cut = may_be_cut;
                body
            });
            // A router is always ready to be called.
            match catch_unwind(AssertUnwindSafe(|| router.clone().call(request))) {
                Ok(route) => Doing::Asking { route },
                Err(_) => Doing::Refusing { status: panicked(&busy) },
            }
        };
        Self { doing, cut, end: Some((busy, finish)) }
    }
}

impl<F: FnOnce(Response, Busy) -> http::Response<Answer<Busy>>> Future for Answering<F> {
    type Output = Result<http::Response<Answer<Busy>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some((busy, _)) = this.end.as_mut() else { return Poll::Pending };
        let answer = match this.doing.project() {
            DoingNow::Refusing { status } => status.into_response(),
            DoingNow::Asking { route } => match catch_unwind(AssertUnwindSafe(|| route.poll(context))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(answered)) => heard(infallible(answered), this.cut, busy),
                Err(_) => panicked(busy).into_response(),
            },
        };
        busy.answered(answer.status().as_u16());
        match this.end.take() {
            Some((busy, finish)) => Poll::Ready(Ok(finish(answer, busy))),
            None => Poll::Pending,
        }
    }
}

/// What the application says, unless its handler only saw the body break off, for which it answers 400.
fn heard(answer: Response, cut: &Cut, busy: &Busy) -> Response {
    match cut.status() {
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
