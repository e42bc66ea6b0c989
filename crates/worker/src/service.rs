//! From a request to its answer: the application, plus what a worker owes its clients.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::Draining;
use crate::exchange::Exchange;

/// Answers one request. While the worker drains, every answer says `Connection: close`, which also
/// makes hyper close the connection after it.
pub(crate) async fn answer(
    router: Router,
    draining: &Draining,
    exchange: &Arc<Exchange>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    exchange.begin(&request);
    let path = request.uri().clone();
    // A handler that panics costs its own request and nobody else's.
    let mut response = match AssertUnwindSafe(router.oneshot(request)).catch_unwind().await {
        Ok(answered) => answered?,
        Err(_) => {
            tracing::error!(path = path.path(), "a handler panicked, answering 500");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    };
    if draining.is_draining() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer { body, exchange: Arc::clone(exchange) }))
}

/// The body of an answer, which tells the exchange when hyper has taken all of it.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    exchange: Arc<Exchange>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.exchange.answered();
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
