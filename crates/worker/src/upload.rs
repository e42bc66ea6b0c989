//! The body of a request, which must not stop coming.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::limits::Limits;

/// A body that ends with an error when its client keeps the handler waiting, or sends more than is taken.
///
/// Only the time is counted in which a handler wants to read: one that is slow itself is not the
/// client's fault.
pub(crate) struct Upload {
    body: Incoming,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    left: u64,
    cut: Cut,
}

/// Why an upload was cut, if it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Option<Arc<AtomicU8>>);

const STALLED: u8 = 1;
const TOO_LARGE: u8 = 2;

impl Upload {
    /// The body as a handler gets it, and what became of it.
    pub(crate) fn watch(body: Incoming, limits: &Limits) -> (Body, Cut) {
        let cut = Cut(Some(Arc::default()));
        let upload = Self {
            body,
            patience: limits.body,
            waiting: None,
            left: limits.max_body.unwrap_or(u64::MAX),
            cut: cut.clone(),
        };
        (Body::new(upload), cut)
    }

    fn cut(&self, why: u8) -> io::Error {
        if let Some(cut) = &self.cut.0 {
            cut.store(why, Ordering::Relaxed);
        }
        match why {
            STALLED => io::Error::new(io::ErrorKind::TimedOut, "the body of the request stopped coming"),
            _ => io::Error::new(io::ErrorKind::FileTooLarge, "the body of the request is too large"),
        }
    }
}

impl Cut {
    /// What the client is told.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self.0.as_ref()?.load(Ordering::Relaxed) {
            STALLED => Some(StatusCode::REQUEST_TIMEOUT),
            TOO_LARGE => Some(StatusCode::PAYLOAD_TOO_LARGE),
            _ => None,
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let patience = self.patience;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            ready!(waiting.as_mut().poll(context));
            return Poll::Ready(Some(Err(self.cut(STALLED).into())));
        };
        self.waiting = None;
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(self.cut(TOO_LARGE).into()))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
