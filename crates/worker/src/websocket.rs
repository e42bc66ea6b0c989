//! The goodbye of a WebSocket: Close 1001, between two frames of the application.
//!
//! After `101 Switching Protocols` the stream is the application's, and whatever it sends is sent
//! as it is. But the frames are followed, so that the worker knows where one ends; when it drains, the connection's own
//! task says Close there, in the application's place and whatever that is busy with, and gives the peer a moment to say it
//! as well. The application reads the peer's Close, or the end of the stream, and needs to know nothing of drains.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::socket::Socket;

/// A Close frame with status 1001, going away (RFC 6455 §5.5.1, §7.4.1). A server does not mask.
const CLOSE: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// So long an application has to say its own goodbye.
const OWN_WORDS: Duration = Duration::from_millis(100);
/// How often a peer that was said goodbye to is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The goodbye of one WebSocket. The application's half passes what it sends through it, the connection's task says it.
#[derive(Debug, Default)]
pub(crate) struct Goodbye {
    talk: Mutex<Talk>,
    /// A frame has ended after which Close is to follow.
    frame_ended: Notify,
    /// For the connection's task.
    socket: Mutex<Option<Arc<Socket>>>,
}

#[derive(Debug, Default)]
struct Talk {
    sent: Frames,
    close: Close,
}

#[derive(Debug, Default, Clone, Copy)]
enum Close {
    #[default]
    Unsaid,
    /// As soon as the application has ended its frame.
    Wanted,
    /// So many bytes of it are out. Nothing of the application may follow (RFC 6455 §5.5.1).
    Out(usize),
    /// The peer has had its moment.
    Over,
}

/// How far it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// By the application, or in its place.
    Whole,
    /// The application is in the middle of a frame.
    AfterThisFrame,
    /// The kernel has no room.
    InPart,
    /// Nobody is there any more to say it to.
    InVain,
}

impl Goodbye {
    /// The stream on which the head of `101 Switching Protocols` is about to be sent.
    pub(crate) fn share(&self, socket: Arc<Socket>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    /// Passes on, by way of `send`, what the application wants to send. After Close it is discarded, and refused when
    /// the peer has had its moment.
    pub(crate) fn pass(
        &self,
        bytes: &[u8],
        send: impl FnOnce(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut talk = self.talk();
        match talk.close {
            Close::Over => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Close::Out(_) => Poll::Ready(Ok(bytes.len())),
            Close::Unsaid | Close::Wanted => {
                let sent = send(bytes);
                if let Poll::Ready(Ok(length)) = &sent {
                    talk.sent.follow(&bytes[..*length]);
                    if matches!(talk.close, Close::Wanted) && talk.sent.are_whole() {
                        self.frame_ended.notify_one();
                    }
                }
                sent
            }
        }
    }

    /// Says Close, by way of `send`, as far as it can be said now.
    pub(crate) fn say(&self, mut send: impl FnMut(&[u8]) -> io::Result<usize>) -> Said {
        let mut talk = self.talk();
        loop {
            talk.close = match talk.close {
                Close::Unsaid => Close::Wanted,
                Close::Wanted if talk.sent.closed => return Said::Whole,
                Close::Wanted if !talk.sent.are_whole() => return Said::AfterThisFrame,
                Close::Wanted => Close::Out(0),
                Close::Out(out) if out >= CLOSE.len() => return Said::Whole,
                Close::Out(out) => match send(&CLOSE[out..]) {
                    Ok(length @ 1..) => Close::Out(out + length),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Said::InPart,
                    _ => return Said::InVain,
                },
                Close::Over => return Said::InVain,
            }
        }
    }

    /// Takes leave of the peer, of which `moment` is left for its answer, and ends the stream for the application. It may
    /// hold it for a little longer, to read what the peer has said.
    pub(crate) async fn take_leave(&self, moment: Duration) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(socket) = socket else { return };
        sleep(OWN_WORDS).await;
        let _ = timeout(moment, async {
            self.say_all(&socket).await;
            until_read_closed(&socket).await;
        })
        .await;
        self.talk().close = Close::Over;
        // An error means that the peer is gone already.
        let _ = rustix::net::shutdown(&socket, Shutdown::Both);
    }

    async fn say_all(&self, socket: &Socket) {
        loop {
            match self.say(|bytes| socket.try_write(bytes)) {
                Said::Whole | Said::InVain => return,
                Said::AfterThisFrame => self.frame_ended.notified().await,
                Said::InPart => {
                    let _ = socket.writable().await;
                }
            }
        }
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the peer has ended its half. Whether the application reads what came before, or ever will, is not known.
async fn until_read_closed(socket: &Socket) {
    while socket.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        sleep(LOOK).await;
    }
}

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
