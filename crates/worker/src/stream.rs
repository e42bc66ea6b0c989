//! The byte stream under a connection: what hyper reads and writes, and a close that destroys no answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::net::{RecvFlags, Shutdown};
use tokio::net::TcpStream;

use crate::exchange::Exchange;

/// A TCP connection that can be handed from one HTTP conversation to the next.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Bytes that were received but not yet given to the conversation that is to read them.
    received: Bytes,
    io: TokioIo<TcpStream>,
    exchange: Arc<Exchange>,
}

impl Stream {
    pub(crate) fn new(stream: TcpStream, exchange: Arc<Exchange>) -> Self {
        Self { received: Bytes::new(), io: TokioIo::new(stream), exchange }
    }

    /// The same stream, for the next conversation, with what the last one received but did not use.
    pub(crate) fn with_received(self, received: Bytes) -> Self {
        Self { received, ..self }
    }

    /// Ends the sending half, unless the peer has begun another request: then the stream is given
    /// back with its bytes. The two system calls stand side by side on purpose. What arrives
    /// between them is the only request that is lost, and no server can do better (RFC 9112 §9.5).
    pub(crate) fn half_close(mut self) -> Result<HalfClosed, Self> {
        if !self.received.is_empty() {
            return Err(self);
        }
        let stream = self.io.inner();
        let mut buffer = [0; 4096];
        // Not try_read: tokio would answer from what it knew when it last asked epoll.
        match rustix::net::recv(stream, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((length @ 1.., _)) => {
                self.received = Bytes::copy_from_slice(&buffer[..length]);
                Err(self)
            }
            _ => Ok(self.abandon()),
        }
    }

    /// Ends the sending half. Whatever the peer still sends is not answered.
    pub(crate) fn abandon(self) -> HalfClosed {
        let stream = self.io.into_inner();
        // An error here means that the peer is gone already.
        let _ = rustix::net::shutdown(&stream, Shutdown::Write);
        HalfClosed(stream)
    }
}

/// A connection that has been sent everything it will be sent.
#[must_use = "dropped at once it may reset the connection and destroy the last answer"]
#[derive(Debug)]
pub(crate) struct HalfClosed(TcpStream);

impl HalfClosed {
    /// Reads and discards until the peer has closed as well, at most for a second. Closing with
    /// unread bytes makes the kernel send a reset, and a reset makes the peer throw away answers
    /// that it has received but not yet read (RFC 9112 §9.6).
    pub(crate) async fn linger(self) {
        let peer_closes = async {
            while self.0.readable().await.is_ok() {
                match self.0.try_read(&mut [0; 16 * 1024]) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => break,
                }
            }
        };
        // At the time limit the peer has had its answer for a second; nothing more can be done for it.
        let _ = tokio::time::timeout(Duration::from_secs(1), peer_closes).await;
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let length = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes only after its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    /// Does nothing: hyper would close without looking whether another request has arrived.
    /// [`Stream::half_close`] looks.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
