//! The goodbye of a WebSocket: Close 1001, between two frames of the application.
//!
//! After `101 Switching Protocols` the stream is the application's, and whatever it sends is sent
//! as it is. But the frames are followed, so that the worker knows where one ends; when it drains it says
//! Close there, in the application's place, and gives the peer a moment to say it as well. The application reads
//! the peer's Close, or the end of the stream, and needs to know nothing of drains.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::Drain;

/// A Close frame with status 1001, going away (RFC 6455 §5.5.1, §7.4.1). A server does not mask.
const CLOSE: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Says goodbye on one WebSocket.
#[derive(Debug)]
pub(crate) struct Goodbye {
    sent: Frames,
    drain: Pin<Box<WaitForCancellationFutureOwned>>,
    moment: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// So many bytes of the Close frame are out.
    Saying(usize),
    /// Until then the peer may answer.
    Said(Pin<Box<Sleep>>),
}

impl Goodbye {
    /// For a stream on which the head of `101 Switching Protocols` is about to be sent.
    pub(crate) fn new(drain: &Drain, moment: Duration) -> Self {
        Self { sent: Frames::default(), drain: Box::pin(drain.begun_owned()), moment, state: State::Open }
    }

    /// The application has sent these bytes.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.sent.follow(bytes);
    }

    /// Whether the application may still send. After Close nothing more may come (RFC 6455 §5.5.1).
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Says Close once the worker drains and no frame is half sent, by way of `send`. Ready when the peer has had
    /// its moment to answer.
    pub(crate) fn poll_say(
        &mut self,
        context: &mut Context<'_>,
        mut send: impl FnMut(&mut Context<'_>, &[u8]) -> Poll<std::io::Result<usize>>,
    ) -> Poll<()> {
        loop {
            self.state = match &mut self.state {
                State::Open => {
                    ready!(self.drain.as_mut().poll(context));
                    if !self.sent.are_whole() || self.sent.closed {
                        return Poll::Pending;
                    }
                    State::Saying(0)
                }
                State::Saying(CLOSE_LENGTH..) => State::Said(Box::pin(tokio::time::sleep(self.moment))),
                State::Saying(out) => match ready!(send(context, &CLOSE[*out..])) {
                    Ok(length) if length > 0 => State::Saying(*out + length),
                    // Nobody is there any more to say goodbye to.
                    _ => return Poll::Ready(()),
                },
                State::Said(moment) => return moment.as_mut().poll(context),
            };
        }
    }
}

const CLOSE_LENGTH: usize = CLOSE.len();

/// Where in the bytes sent so far frames end (RFC 6455 §5.2). They follow the head of the answer.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    at: At,
    /// The application has said Close itself.
    pub(crate) closed: bool,
}

#[derive(Debug)]
enum At {
    /// In the answer's head, after so many bytes of the empty line that ends it.
    Answer(usize),
    /// In the head of a frame, after these bytes of it.
    Head { bytes: [u8; 14], length: usize },
    /// So many bytes before the end of a frame.
    Payload(u64),
}

impl Default for At {
    fn default() -> Self {
        Self::Answer(0)
    }
}

impl At {
    const BETWEEN: Self = Self::Head { bytes: [0; 14], length: 0 };
}

impl Frames {
    /// Whether the last byte ended a frame, or the answer's head.
    pub(crate) fn are_whole(&self) -> bool {
        matches!(self.at, At::Head { length: 0, .. })
    }

    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        const END: &[u8] = b"\r\n\r\n";
        while let Some(byte) = bytes.first() {
            let mut taken = 1;
            self.at = match &mut self.at {
                At::Answer(matched) => match *matched {
                    matched if *byte != END[matched] => At::Answer(usize::from(*byte == END[0])),
                    3 => At::BETWEEN,
                    matched => At::Answer(matched + 1),
                },
                At::Head { bytes, length } => {
                    bytes[*length] = *byte;
                    *length += 1;
                    match payload(&bytes[..*length]) {
                        None => At::Head { bytes: *bytes, length: *length },
                        Some(payload) => {
                            const OPCODE: u8 = 0x0f;
                            const CLOSE: u8 = 0x08;
                            self.closed |= bytes[0] & OPCODE == CLOSE;
                            if payload == 0 { At::BETWEEN } else { At::Payload(payload) }
                        }
                    }
                }
                At::Payload(left) => {
                    taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    match *left - taken as u64 {
                        0 => At::BETWEEN,
                        left => At::Payload(left),
                    }
                }
            };
            bytes = &bytes[taken..];
        }
    }
}

/// How long the payload is that follows this head of a frame, if the head is complete.
fn payload(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (size, length) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?))),
        127 => (8, u64::from_be_bytes(head.get(2..10)?.try_into().ok()?)),
        short => (0, u64::from(short)),
    };
    (head.len() == 2 + size + mask).then_some(length)
}

#[cfg(test)]
mod tests;
