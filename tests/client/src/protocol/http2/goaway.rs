//! Whether a server said GOAWAY. hyper tells only that a connection takes no more requests, not why.

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

/// Tells whether GOAWAY was said.
#[derive(Debug, Clone, Default)]
pub(super) struct Goaway(Arc<AtomicBool>);

impl Goaway {
    pub(super) fn was_said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that is listened to.
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

/// Where in the frames a server sends we are.
#[derive(Debug, Default)]
struct Frames {
    head: Vec<u8>,
    /// How much of the present frame is still to come.
    payload: usize,
    goaway: Goaway,
}

impl Frames {
    fn hear(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if let &[high, middle, low, kind, ..] = &self.head[..]
                && self.head.len() == HEAD
            {
                self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.goaway.0.fetch_or(kind == GOAWAY, Ordering::Relaxed);
                self.head.clear();
            }
        }
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
        // A DATA frame whose content looks like a GOAWAY, then SETTINGS without content, then GOAWAY.
        let data = [&[0, 0, 9, 0, 0, 0, 0, 0, 1][..], &[0, 0, 8, GOAWAY, 0, 0, 0, 0, 0]].concat();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let goaway = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0];
        for piece in 1..=27 {
            let mut frames = Frames::default();
            [&data[..], &settings].concat().chunks(piece).for_each(|bytes| frames.hear(bytes));
            assert!(!frames.goaway.was_said(), "{piece}");
            goaway.chunks(piece).for_each(|bytes| frames.hear(bytes));
            assert!(frames.goaway.was_said(), "{piece}");
        }
    }
}
