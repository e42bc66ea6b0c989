//! Whether a server sent GOAWAY without an error. hyper only tells that a connection takes no more requests,
//! not why.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The type of a GOAWAY frame (RFC 9113 §6.8).
const GOAWAY: u8 = 7;
/// A frame begins with its length in three bytes, its type, flags and stream (RFC 9113 §4.1).
const HEAD: usize = 9;
/// GOAWAY continues with the last stream and the error code, four bytes each.
const HEAD_OF_GOAWAY: usize = HEAD + 8;

/// Tells whether GOAWAY was received.
#[derive(Debug, Clone, Default)]
pub(super) struct Goaway(Arc<AtomicBool>);

impl Goaway {
    pub(super) fn was_said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose received frames are watched.
#[derive(Debug)]
pub(super) struct Listening {
    stream: TcpStream,
    frames: Frames,
}

impl Listening {
    pub(super) fn to(stream: TcpStream) -> (Self, Goaway) {
        let frames = Frames::default();
        let goaway = frames.goaway.clone();
        (Self { stream, frames }, goaway)
    }
}

/// The position in the frames from a server.
#[derive(Debug, Default)]
struct Frames {
    head: Vec<u8>,
    /// How many bytes of the current frame are missing.
    payload: usize,
    goaway: Goaway,
}

impl Frames {
    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let (head, rest) = bytes.split_at(bytes.len().min(self.length_of_head() - self.head.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if self.head.len() == self.length_of_head() {
                self.end_of_head();
            }
        }
    }

    fn length_of_head(&self) -> usize {
        if self.head.get(3) == Some(&GOAWAY) { HEAD_OF_GOAWAY } else { HEAD }
    }

    fn end_of_head(&mut self) {
        if let &[high, middle, low, ..] = &self.head[..] {
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.payload = length.saturating_sub(self.head.len() - HEAD);
        }
        let is_goodbye = self.head.get(HEAD + 4..).is_some_and(|code| code == [0; 4]);
        self.goaway.0.fetch_or(is_goodbye, Ordering::Relaxed);
        self.head.clear();
    }
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.frames.hear(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_heard_in_whatever_pieces_it_comes() {
        // A DATA frame that contains a GOAWAY, an empty SETTINGS frame, a GOAWAY with an error, then one
        // without.
        let data = [&[0, 0, 9, 0, 0, 0, 0, 0, 1][..], &[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]].concat();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let error = [0, 0, 10, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, b'n', b'o'];
        let goodbye = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        for piece in 1..=46 {
            let mut frames = Frames::default();
            [&data[..], &settings, &error].concat().chunks(piece).for_each(|bytes| frames.hear(bytes));
            assert!(!frames.goaway.was_said(), "{piece}");
            goodbye.chunks(piece).for_each(|bytes| frames.hear(bytes));
            assert!(frames.goaway.was_said(), "{piece}");
        }
    }
}
