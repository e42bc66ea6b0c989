//! The goodbye of a WebSocket: Close 1001 between two frames of the application.
//!
//! After `101 Switching Protocols` the stream belongs to the application, and its bytes go out unchanged. But
//! the worker follows the frames, so it knows where each ends. When the worker drains, the connection's own
//! task sends Close between two frames, no matter what the application is doing. Then it gives the peer some
//! time to send Close as well. The application reads the peer's Close, or the end of the stream. It needs no
//! code for drains.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::socket::Socket;

/// A Close frame with status 1001, going away (RFC 6455 §5.5.1, §7.4.1). A server does not mask it.
const CLOSE: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// How long an application has to send a Close of its own.
const OWN_WORDS: Duration = Duration::from_millis(100);
/// How often to check a peer that has been sent Close.
const LOOK: Duration = Duration::from_millis(50);

/// The goodbye of one WebSocket. The application's half passes its bytes through it, and the connection's
/// task sends Close.
#[derive(Debug, Default)]
pub(crate) struct Goodbye {
    talk: Mutex<Talk>,
    /// A frame has ended after which Close must follow.
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
    /// To be sent as soon as the application has ended its frame.
    Wanted,
    /// This many bytes of it are out. No bytes of the application may follow (RFC 6455 §5.5.1).
    Out(usize),
    /// The peer's time is over.
    Over,
}

/// How much of Close has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// All of it, by the application or in its place.
    Whole,
    /// Nothing yet: the application is in the middle of a frame.
    AfterThisFrame,
    /// A part: the kernel has no room.
    InPart,
    /// The peer is gone.
    InVain,
}

impl Goodbye {
    /// The stream on which the head of `101 Switching Protocols` is about to be sent.
    pub(crate) fn share(&self, socket: Arc<Socket>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    /// Passes on, with `send`, the bytes of the application. After Close they are discarded, and when the
    /// peer's time is over they are refused.
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

    /// Sends Close with `send`, as far as possible now.
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

    /// Closes the connection to the peer, which has `moment` for its answer, and then ends the stream for the
    /// application. The application may hold it a little longer to read what the peer has sent.
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

/// Waits until the peer has ended its half. The worker cannot know whether the application reads the bytes
/// before that.
async fn until_read_closed(socket: &Socket) {
    while socket.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        sleep(LOOK).await;
    }
}

/// Tracks where frames end in the bytes sent so far (RFC 6455 §5.2). The frames follow the head of the
/// response.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    at: At,
    /// The application has sent Close itself.
    pub(crate) closed: bool,
}

#[derive(Debug)]
enum At {
    /// In the head of the response, after this many bytes of the empty line that ends it.
    Answer(usize),
    /// In the head of a frame, after these bytes of it.
    Head { bytes: [u8; 14], length: usize },
    /// This many bytes before the end of a frame.
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
    /// Whether the last byte ended a frame, or the head of the response.
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

/// The length of the payload after this head of a frame, if the head is complete.
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
