//! One connection, step by step.

use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Answer, Failure};

/// A connection to the server. It has no timeouts of its own, so put one around each call.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    answers: u64,
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// One of those for which [`Failure::is_connect`] holds.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(|error| Failure::of_connect(&error))?;
        // Requests are written in one piece.
        stream.set_nodelay(true).map_err(|_| Failure::ConnectOther)?;
        Ok(Self { stream, received: Vec::with_capacity(4096), answers: 0 })
    }

    /// Sends a request, several of them, or the beginning of one.
    ///
    /// # Errors
    /// The connection was closed, or it had bytes that belong to no request.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.check_idle()?;
        let sent = self.stream.write(request).await.map_err(|_| self.closed())?;
        self.send_rest(&request[sent..]).await
    }

    /// Sends the rest of a request, whether or not it is already answered.
    ///
    /// # Errors
    /// [`Failure::ResetInRequest`].
    pub async fn send_rest(&mut self, rest: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(rest).await.map_err(|_| Failure::ResetInRequest)
    }

    /// Ends the client's half, so the server knows that no more requests follow (shutdown(2)).
    pub async fn half_close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Receives one response.
    ///
    /// # Errors
    /// How the response was lost. The status is not checked.
    pub async fn receive(&mut self) -> Result<Answer, Failure> {
        loop {
            if let Some((answer, length)) = Answer::parse(&self.received)? {
                self.received.drain(..length);
                self.answers += 1;
                return Ok(answer);
            }
            let nothing_yet = self.received.is_empty();
            match self.stream.read_buf(&mut self.received).await {
                Ok(1..) => {}
                Ok(0) if nothing_yet => return Err(Failure::EofBeforeAnswer),
                Ok(0) => return Err(Failure::Truncated),
                Err(_) if nothing_yet => return Err(Failure::ResetBeforeAnswer),
                Err(_) => return Err(Failure::ResetInAnswer),
            }
        }
    }

    /// Waits until the server closes, after a response that announced it. A reset is also fine, because it
    /// can destroy nothing any more.
    ///
    /// # Errors
    /// [`Failure::Malformed`] if anything but the end arrives.
    pub async fn finish(mut self) -> Result<(), Failure> {
        if !self.received.is_empty() {
            return Err(Failure::Malformed);
        }
        match self.stream.read_buf(&mut self.received).await {
            Ok(1..) => Err(Failure::Malformed),
            _ => Ok(()),
        }
    }

    /// Asks the kernel. tokio only knows the state of its last epoll call.
    fn check_idle(&self) -> Result<(), Failure> {
        if !self.received.is_empty() {
            return Err(Failure::Malformed);
        }
        match rustix::net::recv(&self.stream, &mut [0; 1][..], RecvFlags::DONTWAIT | RecvFlags::PEEK) {
            Err(Errno::WOULDBLOCK) => Ok(()),
            Ok((1.., _)) => Err(Failure::Malformed),
            _ => Err(self.closed()),
        }
    }

    fn closed(&self) -> Failure {
        if self.answers > 0 { Failure::ClosedUnannounced } else { Failure::ConnectReset }
    }
}
