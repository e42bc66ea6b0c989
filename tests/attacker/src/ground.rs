//! The attackers' connections, and the count of their results.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Report;

/// The attacked server, and the counts so far.
#[derive(Debug)]
pub(crate) struct Ground {
    address: SocketAddr,
    began: Instant,
    connected: AtomicU64,
    not_connected: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    closed: AtomicU64,
}

/// A connection that is reset when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    ground: Arc<Ground>,
    stream: TcpStream,
    is_answered: bool,
}

/// The server has closed, or reset, the connection.
#[derive(Debug)]
pub(crate) struct Closed;

impl Ground {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            began: Instant::now(),
            connected: AtomicU64::new(0),
            not_connected: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }
    }

    /// Connects. Returns `None` after a moment if that is not possible.
    pub(crate) async fn connect(self: &Arc<Self>) -> Option<Connection> {
        let connected = TcpStream::connect(self.address).await.and_then(|stream| {
            // Closed with a reset: neither side has to remember the connection, and ports do not run out.
            stream.set_zero_linger()?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => {
                add(&self.connected, 1);
                Some(Connection { ground: Arc::clone(self), stream, is_answered: false })
            }
            Err(_) => {
                add(&self.not_connected, 1);
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }

    pub(crate) fn report(&self) -> Report {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            connected: value(&self.connected),
            not_connected: value(&self.not_connected),
            sent: value(&self.sent),
            answered: value(&self.answered),
            closed: value(&self.closed),
        }
    }
}

impl Connection {
    /// Sends all of these bytes, and reads meanwhile.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        let mut sent = 0;
        while sent < bytes.len() {
            let (mut from, mut to) = self.stream.split();
            let mut answer = [0; 4096];
            tokio::select! {
                length = to.write(&bytes[sent..]) => match length {
                    Ok(length @ 1..) => {
                        sent += length;
                        add(&self.ground.sent, length as u64);
                    }
                    _ => return Err(self.closed()),
                },
                length = from.read(&mut answer) => self.note(length.unwrap_or(0))?,
            }
        }
        Ok(())
    }

    /// Is silent for this long.
    pub(crate) async fn pause(&mut self, time: Duration) -> Result<(), Closed> {
        tokio::time::timeout(time, self.listen()).await.map_or(Ok(()), Err)
    }

    /// Is silent until the server closes.
    pub(crate) async fn until_closed(mut self) {
        let Closed = self.listen().await;
    }

    async fn listen(&mut self) -> Closed {
        let mut answer = [0; 4096];
        loop {
            let length = self.stream.read(&mut answer).await.unwrap_or(0);
            if let Err(closed) = self.note(length) {
                return closed;
            }
        }
    }

    /// `length` bytes have arrived.
    fn note(&mut self, length: usize) -> Result<(), Closed> {
        if length == 0 {
            return Err(self.closed());
        }
        if !std::mem::replace(&mut self.is_answered, true) {
            add(&self.ground.answered, 1);
        }
        Ok(())
    }

    fn closed(&self) -> Closed {
        add(&self.ground.closed, 1);
        Closed
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
