//! The body of a response on its way to hyper.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::Drain;
use crate::exchange::Busy;

/// The body of a response. `busy` is dropped once hyper has taken the whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    events: Option<Events>,
    /// `None` for a response that is counted on another connection.
    busy: Option<Busy>,
}

impl Answer {
    pub(crate) fn new(answer: Response, drain: &Drain, busy: Busy) -> http::Response<Self> {
        if !answer.body().is_end_stream() {
            busy.piece_is_out();
        }
        // A stream has no known length. So for most responses this saves looking up the header.
        let is_event_stream = answer.body().size_hint().exact().is_none() && is_event_stream(&answer);
        let events =
            is_event_stream.then(|| Events::new(drain, !answer.headers().contains_key(CONTENT_ENCODING)));
        answer.map(|body| Self { body, events, busy: Some(busy) })
    }

    /// For a response from an inner connection of this worker, which counts it.
    pub(crate) fn passed_on(answer: Response) -> http::Response<Self> {
        answer.map(|body| Self { body, events: None, busy: None })
    }
}

fn is_event_stream(answer: &Response) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    answer.headers().get(CONTENT_TYPE).is_some_and(|content_type| {
        content_type.as_bytes().get(..EVENTS.len()).is_some_and(|it| it.eq_ignore_ascii_case(EVENTS))
    })
}

/// When the worker drains, a stream of server-sent events ends after an event. The client reconnects by
/// itself (HTML Living Standard, §9.2), and a sibling answers.
#[derive(Debug)]
struct Events {
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The last bytes sent, if they show the end of an event. Compressed bytes do not, so any piece of them
    /// may be the last.
    tail: Option<[u8; 4]>,
    has_sent: bool,
}

impl Events {
    fn new(drain: &Drain, is_readable: bool) -> Self {
        // As if an event had just ended: the stream may also end before the first event.
        let tail = is_readable.then_some(*b"\n\n\n\n");
        Self { drain: Box::pin(drain.begun_owned()), tail, has_sent: false }
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.has_sent = true;
        let Some(tail) = &mut self.tail else { return };
        for byte in &bytes[bytes.len().saturating_sub(tail.len())..] {
            tail.rotate_left(1);
            tail[3] = *byte;
        }
    }

    /// Whether the last bytes are an empty line.
    fn are_whole(&self) -> bool {
        self.tail.is_none_or(|tail| [&b"\n\n"[..], b"\r\r", b"\n\r\n"].iter().any(|end| tail.ends_with(end)))
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> bool {
        self.are_whole() && self.drain.as_mut().poll(context).is_ready()
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        // A stream that always has a next event also ends between two events.
        if let Some(events) = this.events.as_mut().filter(|events| events.has_sent)
            && events.poll_end(context)
        {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if let Some(events) = &mut this.events {
            match &frame {
                Poll::Ready(Some(Ok(frame))) => events.sent(frame.data_ref().map_or(&[], |data| data)),
                Poll::Pending if events.poll_end(context) => return Poll::Ready(None),
                _ => {}
            }
        }
        match &frame {
            Poll::Ready(_) => this.busy.iter().for_each(Busy::piece_is_out),
            Poll::Pending => this.busy.iter().for_each(Busy::piece_is_awaited),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
