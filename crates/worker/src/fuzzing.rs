//! The parsers of untrusted input, one by one, for the targets in `tests/fuzz`. Not part of the library's
//! interface.
//!
//! This is a feature that only the fuzz targets turn on, and not `#[doc(hidden)]`: an item that does not
//! exist cannot be relied upon.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use scoreboard::Slot;
use tokio::net::TcpStream;

use crate::accept::Room;
use crate::connection::opening::{self, Protocol};
use crate::connection::{Connections, Manners};
use crate::limits::Limits;
use crate::socket::{Accepted, Socket};
use crate::{Drain, Error, listener, websocket};

/// The descriptors with this name in the list that systemd passes (`LISTEN_FDNAMES`).
pub fn indices(names: &str, name: &str) -> Vec<usize> {
    listener::indices(names, name).collect()
}

/// The address after `--listen`.
///
/// # Errors
/// [`Error::Address`].
pub fn development_address(arguments: impl Iterator<Item = OsString>) -> Result<Option<SocketAddr>, Error> {
    listener::development_address(arguments)
}

/// Whether a connection that begins with these bytes speaks HTTP/2; `None` while both are possible.
pub fn is_http2(received: &[u8]) -> Option<bool> {
    opening::protocol(received).map(|protocol| protocol == Protocol::Http2)
}

/// Follows what an application sends on a WebSocket.
#[derive(Debug, Default)]
pub struct Frames(websocket::Frames);

impl Frames {
    /// The application sent these bytes.
    pub fn follow(&mut self, bytes: &[u8]) {
        self.0.follow(bytes);
    }

    /// Whether the last byte ended a frame, or the head of the answer.
    pub fn are_whole(&self) -> bool {
        self.0.are_whole()
    }

    /// Whether a Close frame was among them.
    pub fn has_closed(&self) -> bool {
        self.0.closed
    }
}

/// The goodbye of a WebSocket.
#[derive(Debug, Default)]
pub struct Goodbye(websocket::Goodbye);

impl Goodbye {
    /// The application sends these bytes. Returns whether all of them go out.
    pub fn passes(&self, bytes: &[u8]) -> bool {
        let mut is_sent = false;
        let _ = self.0.pass(bytes, |bytes| {
            is_sent = true;
            Poll::Ready(Ok(bytes.len()))
        });
        is_sent
    }

    /// Sends Close with `send`, as far as possible now.
    pub fn say(&self, send: impl FnMut(&[u8]) -> io::Result<usize>) {
        self.0.say(send);
    }
}

/// Serves one connection to its end, with the default limits.
pub fn serve(router: Router, drain: Drain, slot: Slot, stream: TcpStream) -> impl Future<Output = ()> + Send {
    let accepted = Accepted { socket: Socket::Tcp(stream), peer: None };
    let manners = Manners { linger: Duration::from_secs(2), goodbye: Duration::from_secs(3) };
    let room = Arc::new(Room::new(slot, usize::MAX));
    Arc::new(Connections::new(router, drain, room, Limits::default(), manners)).serve(accepted)
}
