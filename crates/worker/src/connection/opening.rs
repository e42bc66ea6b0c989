//! The first bytes of a connection, which tell its protocol.

use std::sync::Arc;

use super::Connections;
use crate::exchange::Exchange;
use crate::half_closed::HalfClosed;
use crate::stream::Stream;

/// The first bytes of an HTTP/2 client with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection begins.
pub(super) enum Opening {
    Http1(Stream),
    Http2(Stream),
    /// The client has sent no request.
    Silent(HalfClosed),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The protocol of a connection that begins with these bytes; `None` while both are possible.
pub(crate) fn protocol(received: &[u8]) -> Option<Protocol> {
    match received.starts_with(PREFACE) {
        true => Some(Protocol::Http2),
        false if PREFACE.starts_with(received) => None,
        false => Some(Protocol::Http1),
    }
}

impl Connections {
    /// Waits until the protocol is known. If a client connects in advance and stays silent, its connection
    /// lingers in a drain like an idle one.
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
                    // hyper has the right response for half a request.
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
