//! From a request to its answer: the application, plus what a worker owes its clients.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{Request, StatusCode};
use hyper::body::{Body as _, Incoming};
use scoreboard::{Slot, Timeout};
use tower::ServiceExt;

use crate::limits::Limits;
use crate::upload::{Cut, Upload};

/// Has the application answer one request. A handler that panics costs its own request and nobody else's; so does a
/// body that is too large or stops coming.
pub(crate) async fn answer(
    router: Router,
    limits: &Limits,
    slot: &Slot,
    request: Request<Incoming>,
) -> Response {
    let (head, body) = request.into_parts();
    if limits.max_body.is_some_and(|most| body.size_hint().lower() > most) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let path = head.uri.clone();
    let (body, cut) = match body.is_end_stream() {
        true => (Body::new(body), Cut::default()),
        false => Upload::watch(body, limits),
    };
    match AssertUnwindSafe(router.oneshot(Request::from_parts(head, body))).catch_unwind().await {
        // Handlers know only that the body broke off, and answer 400.
        Ok(answered) => match cut.status() {
            None => infallible(answered),
            Some(status) => {
                if status == StatusCode::REQUEST_TIMEOUT {
                    slot.timed_out(Timeout::Body);
                }
                status.into_response()
            }
        },
        Err(_) => {
            slot.panicked();
            tracing::error!(path = path.path(), "a handler panicked, answering 500");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
