//! The body of a request: it must not stall, and something must happen with an unread rest.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, Sleep};

use crate::exchange::Uploading;
use crate::limits::Limits;

/// A body that ends with an error if its client keeps the handler waiting, or sends too much.
///
/// Only the time in which a handler wants to read counts. If the handler is slow, the client is not to blame.
pub(crate) struct Upload {
    /// Present until the body has ended.
    coming: Option<Coming>,
    patience: Duration,
    left: u64,
    receipt: Receipt,
    /// Whether to keep an unread rest. For HTTP/2 nothing would read it, and it would take up the window.
    keeps_rest: bool,
}

struct Coming {
    body: Incoming,
    uploading: Uploading,
    /// Present if the handler wants a piece, and none is there.
    waiting: Option<Waiting>,
}

struct Waiting {
    look: Pin<Box<Sleep>>,
    /// Until when the client may take, not counting the time in which it could not send.
    until: Instant,
    /// For how long in total the client may have been unable to send, when the handler began to wait.
    kept: Duration,
}

/// `None` if the body has ended.
type Piece = Option<hyper::Result<Frame<Bytes>>>;

/// The client has kept the handler waiting for too long.
struct Overdue;

/// What became of an upload, for the code that answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receipt(Option<Arc<Mutex<Received>>>);

#[derive(Debug, Default)]
struct Received {
    /// Why it was cut, if it was.
    cut: Option<StatusCode>,
    /// The body ended too early, or its chunks are invalid. Nothing after it can be parsed.
    is_broken: bool,
    /// The part that the application did not read.
    rest: Option<Incoming>,
}

impl Upload {
    /// The body for the handler, and a receipt of what becomes of it. With `keeps_rest`, the part that the
    /// handler does not read is kept.
    pub(crate) fn watch(
        body: Incoming,
        limits: &Limits,
        uploading: Uploading,
        keeps_rest: bool,
    ) -> (Body, Receipt) {
        let receipt = Receipt(Some(Arc::default()));
        let upload = Self {
            coming: Some(Coming { body, uploading, waiting: None }),
            patience: limits.body,
            left: limits.max_body.unwrap_or(u64::MAX),
            receipt: receipt.clone(),
            keeps_rest,
        };
        (Body::new(upload), receipt)
    }

    fn cut(&mut self, why: StatusCode) -> io::Error {
        self.receipt.note(|received| received.cut = Some(why));
        match why {
            StatusCode::REQUEST_TIMEOUT => {
                io::Error::new(io::ErrorKind::TimedOut, "the body of the request stopped coming")
            }
            _ => io::Error::new(io::ErrorKind::FileTooLarge, "the body of the request is too large"),
        }
    }
}

impl Coming {
    /// The next piece. An error if the client could have sent for all of `patience`.
    fn poll_frame(&mut self, context: &mut Context<'_>, patience: Duration) -> Poll<Result<Piece, Overdue>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            self.uploading.note(false);
            return Poll::Ready(Ok(frame));
        }
        self.uploading.note(true);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            look: Box::pin(tokio::time::sleep(patience)),
            until: Instant::now() + patience,
            kept: self.uploading.kept_from_coming(),
        });
        loop {
            ready!(waiting.look.as_mut().poll(context));
            let (now, kept) = (Instant::now(), self.uploading.kept_from_coming() - waiting.kept);
            if now >= waiting.until + kept {
                return Poll::Ready(Err(Overdue));
            }
            waiting.look.as_mut().reset((waiting.until + kept).max(now + Self::LOOK));
        }
    }

    /// While the client cannot send, the worker checks at most this often.
    const LOOK: Duration = Duration::from_millis(100);
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.keeps_rest
            && let Some(coming) = self.coming.take()
        {
            self.receipt.note(|received| received.rest = Some(coming.body));
        }
    }
}

impl Receipt {
    /// For a body that no application was given.
    pub(crate) fn unread(body: Incoming) -> Self {
        Self(Some(Arc::new(Mutex::new(Received { rest: Some(body), ..Received::default() }))))
    }

    /// The status for the client if the upload was cut.
    pub(crate) fn cut(&self) -> Option<StatusCode> {
        self.received()?.cut
    }

    /// Whether the body ended with a protocol error.
    pub(crate) fn is_broken(&self) -> bool {
        self.received().is_some_and(|received| received.is_broken)
    }

    /// The unread part of the body, if the application has dropped it.
    pub(crate) fn take_rest(&self) -> Option<Incoming> {
        self.received()?.rest.take()
    }

    fn note(&self, note: impl FnOnce(&mut Received)) {
        if let Some(mut received) = self.received() {
            note(&mut received);
        }
    }

    fn received(&self) -> Option<MutexGuard<'_, Received>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let Some(coming) = &mut this.coming else { return Poll::Ready(None) };
        if this.receipt.cut().is_some() {
            return Poll::Ready(None);
        }
        let Ok(frame) = ready!(coming.poll_frame(context, this.patience)) else {
            return Poll::Ready(Some(Err(this.cut(StatusCode::REQUEST_TIMEOUT).into())));
        };
        if coming.body.is_end_stream() || !matches!(frame, Some(Ok(_))) {
            this.coming = None;
        }
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.inspect_err(|_| this.receipt.note(|received| received.is_broken = true))?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match this.left.checked_sub(length) {
            Some(left) => this.left = left,
            None => return Poll::Ready(Some(Err(this.cut(StatusCode::PAYLOAD_TOO_LARGE).into()))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.coming.as_ref().is_none_or(|coming| coming.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.coming.as_ref().map_or_else(|| SizeHint::with_exact(0), |coming| coming.body.size_hint())
    }
}

/// The part of a body that the application does not read. The worker reads a little of it all the same, so
/// that the connection can continue with the next request (RFC 9112 §9.3).
#[derive(Debug)]
pub(crate) struct Rest {
    body: Incoming,
    left: u64,
    time: Pin<Box<Sleep>>,
}

/// Whether the next request can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discarded {
    Whole,
    /// There is too much of it, or it arrives too slowly. The response needs `Connection: close`.
    InPart,
}

impl Rest {
    /// About what a new connection would cost.
    pub(crate) const MOST: u64 = 64 * 1024;
    /// About the length of a slow round trip. The response waits for it.
    const TIME: Duration = Duration::from_millis(500);

    /// Reads at most `most` bytes; with 0 it reads nothing.
    pub(crate) fn new(body: Incoming, most: u64) -> Self {
        Self { body, left: most, time: Box::pin(tokio::time::sleep(Self::TIME)) }
    }

    pub(crate) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<Discarded> {
        if self.left == 0 || self.body.size_hint().lower() > self.left {
            return Poll::Ready(Discarded::InPart);
        }
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            match frame {
                None => return Poll::Ready(Discarded::Whole),
                Some(Err(_)) => return Poll::Ready(Discarded::InPart),
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                    match self.left.checked_sub(length) {
                        Some(left) => self.left = left,
                        None => return Poll::Ready(Discarded::InPart),
                    }
                }
            }
        }
        self.time.as_mut().poll(context).map(|()| Discarded::InPart)
    }
}
