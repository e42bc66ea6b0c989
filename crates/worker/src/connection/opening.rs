//! The first bytes of a connection, which tell its protocol.

use std::sync::Arc;

use super::Connections;
use crate::exchange::Exchange;
use crate::half_closed::HalfClosed;
use crate::stream::Stream;

/// What a client of HTTP/2 that knows its server sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection begins.
pub(super) enum Opening {
    Http1(Stream),
    Http2(Stream),
    /// Without a request.
    Silent(HalfClosed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// What a connection that begins like this speaks; `None` while it can still be either.
pub(crate) fn protocol(received: &[u8]) -> Option<Protocol> {
    match received.starts_with(PREFACE) {
        true => Some(Protocol::Http2),
        false if PREFACE.starts_with(received) => None,
        false => Some(Protocol::Http1),
    }
}

impl Connections {
    /// Waits for as many bytes as it takes to know the protocol. A client that connects in advance
    /// and keeps silent lingers in a drain like one that is idle.
    pub(super) async fn open(&self, mut stream: Stream, exchange: &Arc<Exchange>) -> Opening {
        let linger = self.linger();
        loop {
            match protocol(stream.received()) {
                Some(Protocol::Http1) => return Opening::Http1(stream),
                Some(Protocol::Http2) => return Opening::Http2(stream),
                None => exchange.starved(),
            }
            let overdue = tokio::select! {
                biased;
                received = stream.receive() => match received {
                    Ok(1..) => continue,
                    // hyper knows best what to say to half a request.
                    Ok(0) if !stream.received().is_empty() => return Opening::Http1(stream),
                    _ => return Opening::Silent(stream.abandon()),
                },
                overdue = exchange.overdue(&self.limits, &self.drain, linger) => overdue,
            };
            self.note_overdue(overdue);
            if !stream.received().is_empty() {
                return Opening::Silent(stream.abandon());
            }
            match stream.half_close() {
                Ok(closed) => return Opening::Silent(closed),
                Err(spoken) => stream = spoken,
            }
        }
    }
}
