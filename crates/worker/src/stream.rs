//! The byte stream under a connection. hyper reads and writes it. Closing it destroys no response.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use axum::body::Bytes;
use rustix::net::{RecvFlags, Shutdown};
use scoreboard::Slot;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::exchange::{Exchange, without_empty_lines};
use crate::half_closed::HalfClosed;
use crate::socket::Socket;
use crate::websocket::Goodbye;

/// Up to this many bytes, copying is cheaper than passing slices: writev(2) goes through the kernel's code
/// for files, send(2) through that for sockets.
const SMALL: usize = 1024;

/// A connection that can be handed from one HTTP conversation to the next.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Bytes that were received, but that no conversation has read yet.
    received: Bytes,
    /// Shared with the connection's task once the stream is a WebSocket.
    socket: Arc<Socket>,
    exchange: Arc<Exchange>,
    /// The slot on which bytes are counted.
    slot: Option<Slot>,
    /// Present once the stream is a WebSocket.
    goodbye: Option<Arc<Goodbye>>,
    /// The waker of hyper, which must not know yet that the peer has ended its half.
    kept_waiting: Option<Waker>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.exchange.close();
    }
}

impl Stream {
    pub(crate) fn new(socket: Socket, exchange: Arc<Exchange>, slot: Option<Slot>) -> Self {
        Self {
            received: Bytes::new(),
            socket: Arc::new(socket),
            exchange,
            slot,
            goodbye: None,
            kept_waiting: None,
        }
    }

    /// The bytes that were received and not read yet.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Waits for bytes and appends them to those received before. Returns 0 if the peer has ended its half.
    pub(crate) async fn receive(&mut self) -> io::Result<usize> {
        const MOST: usize = 8 * 1024;
        let mut buffer = Vec::with_capacity(self.received.len() + MOST);
        buffer.extend_from_slice(&self.received);
        let length = loop {
            self.socket.readable().await?;
            match self.socket.try_read_buf(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.exchange.starved(),
                result => break result?,
            }
        };
        let before = self.received.len();
        if length > 0 {
            self.note_received(&buffer[before..]);
        }
        self.received = buffer.into();
        Ok(length)
    }

    /// The same stream for the next conversation. `received` is what the last conversation received and did
    /// not use: the beginning of another request.
    pub(crate) fn with_received(mut self, mut received: Bytes) -> Self {
        let length = without_empty_lines(&received).len();
        self.received = received.split_off(received.len() - length);
        self.exchange.received(&self.received);
        self
    }

    /// Ends the sending half, unless the peer has begun another request. In that case the stream is returned
    /// with its bytes. The two system calls are next to each other on purpose. Only a request that arrives
    /// between them is lost, and no server can avoid that (RFC 9112 §9.5).
    pub(crate) fn half_close(mut self) -> Result<HalfClosed, Self> {
        if !self.received.is_empty() {
            return Err(self);
        }
        let mut buffer = [0; 4096];
        // Not try_read: tokio would answer from its last epoll result.
        match rustix::net::recv(&*self.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((length @ 1.., _)) if !without_empty_lines(&buffer[..length]).is_empty() => {
                self.note_received(&buffer[..length]);
                self.received = Bytes::copy_from_slice(&buffer[..length]);
                Err(self)
            }
            _ => Ok(self.abandon()),
        }
    }

    /// Ends the sending half. Nothing that the peer still sends is answered.
    pub(crate) fn abandon(self) -> HalfClosed {
        // An error here means that the peer is gone already.
        let _ = rustix::net::shutdown(&*self.socket, Shutdown::Write);
        HalfClosed::new(self)
    }

    /// Receives and discards, and returns how many bytes. With 0, the peer has ended its half or is gone.
    pub(crate) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        let mut buffer = [0; 16 * 1024];
        let mut buffer = ReadBuf::new(&mut buffer);
        let received = ready!(self.poll_receive(context, &mut buffer));
        Poll::Ready(received.map_or(0, |()| buffer.filled().len()))
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = match Arc::get_mut(&mut self.socket) {
            Some(socket) => socket.poll_write(context, bytes),
            None => self.poll_shared(context, Socket::poll_write_ready, |socket| socket.try_write(bytes)),
        };
        self.note_progress(&sent);
        sent
    }

    fn poll_receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Arc::get_mut(&mut self.socket) {
            Some(socket) => socket.poll_read(context, buffer),
            None => {
                let read = |socket: &Socket| socket.try_read(buffer.initialize_unfilled());
                let length = ready!(self.poll_shared(context, Socket::poll_read_ready, read))?;
                buffer.advance(length);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// What tokio does by itself for a stream with a single owner.
    fn poll_shared(
        &self,
        context: &mut Context<'_>,
        poll_ready: fn(&Socket, &mut Context<'_>) -> Poll<io::Result<()>>,
        mut act: impl FnMut(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(poll_ready(&self.socket, context))?;
            match act(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn note_progress(&self, sent: &Poll<io::Result<usize>>) {
        match sent {
            Poll::Pending => self.exchange.stuck(),
            Poll::Ready(sent) => {
                let length = *sent.as_ref().unwrap_or(&0);
                if let Some(slot) = &self.slot {
                    slot.sent(length as u64);
                }
                self.exchange.written(length);
            }
        }
    }

    fn note_received(&self, bytes: &[u8]) {
        if let Some(slot) = &self.slot {
            slot.received(bytes.len() as u64);
        }
        self.exchange.received(bytes);
    }

    /// Runs before the first byte of a WebSocket, which is the head of its response.
    fn find_goodbye(&mut self) {
        if self.goodbye.is_none()
            && self.exchange.is_upgraded()
            && let Some(goodbye) = self.exchange.goodbye()
        {
            goodbye.share(Arc::clone(&self.socket));
            self.goodbye = Some(Arc::clone(goodbye));
        }
    }
}

/// All slices one after another, if they fit into the buffer.
fn gathered<'a>(slices: &[IoSlice<'_>], buffer: &'a mut [u8; SMALL]) -> Option<&'a [u8]> {
    let mut length = 0;
    for slice in slices {
        buffer.get_mut(length..length + slice.len())?.copy_from_slice(slice);
        length += slice.len();
    }
    Some(&buffer[..length])
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.received.is_empty() {
            let length = self.received.len().min(buffer.remaining());
            buffer.put_slice(&self.received.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = self.poll_receive(context, buffer);
        match read {
            Poll::Pending => self.exchange.starved(),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.note_received(&buffer.filled()[before..])
            }
            Poll::Ready(Ok(())) if self.exchange.withholds_end() => {
                self.kept_waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(_) => {}
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.find_goodbye();
        match self.goodbye.clone() {
            Some(goodbye) => {
                // Discarding never blocks. Without this, a task that sends without a pause would keep the
                // thread from other tasks.
                let turn = ready!(tokio::task::coop::poll_proceed(context));
                let sent = goodbye.pass(bytes, |bytes| self.poll_send(context, bytes));
                if sent.is_ready() {
                    turn.made_progress();
                }
                sent
            }
            None => self.poll_send(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.exchange.is_upgraded() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[], |slice| slice));
        }
        let mut small = [0; SMALL];
        if let Some(bytes) = gathered(slices, &mut small) {
            return self.poll_send(context, bytes);
        }
        // Only the socket of a WebSocket is shared, and that case has returned above.
        let Some(socket) = Arc::get_mut(&mut self.socket) else { return Poll::Ready(Ok(0)) };
        let sent = socket.poll_write_vectored(context, slices);
        self.note_progress(&sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes only after its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchange.flushed()
            && let Some(reader) = self.kept_waiting.take()
        {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// For HTTP/1.1 this does nothing: hyper would close without checking whether another request has
    /// arrived. [`Stream::half_close`] checks. After an upgrade, the application's protocol ends the stream.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.exchange.is_upgraded() {
            true => Poll::Ready(Ok(rustix::net::shutdown(&*self.socket, Shutdown::Write)?)),
            false => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_gathered_and_much_is_left_in_pieces() {
        let mut buffer = [0; SMALL];
        let gathered = |slices: &[&[u8]], buffer: &mut _| {
            let slices: Vec<_> = slices.iter().copied().map(IoSlice::new).collect();
            gathered(&slices, buffer).map(<[u8]>::to_vec)
        };
        assert_eq!(gathered(&[b"head", b"", b"body"], &mut buffer), Some(b"headbody".to_vec()));
        assert_eq!(gathered(&[], &mut buffer), Some(vec![]));
        let body = [b'x'; SMALL];
        assert_eq!(gathered(&[b"", &body], &mut buffer), Some(body.to_vec()));
        assert_eq!(gathered(&[b"h", &body], &mut buffer), None);
    }
}
