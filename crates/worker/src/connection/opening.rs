//! The first bytes of a connection, which tell its protocol.

use std::pin::pin;
use std::sync::Arc;

use super::Connections;
use crate::exchange::Exchange;
use crate::half_closed::HalfClosed;
use crate::limits::Overdue;
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

impl Connections {
    /// Waits for as many bytes as it takes to know the protocol. A client that connects in advance
    /// and keeps silent lingers in a drain like one that is idle.
    pub(super) async fn open(&self, mut stream: Stream, exchange: &Arc<Exchange>) -> Opening {
        let mut lingered = pin!(exchange.lingered(&self.drain, self.linger()));
        let mut overdue = pin!(exchange.overdue(&self.limits));
        loop {
            if !stream.received().is_empty() && !PREFACE.starts_with(stream.received()) {
                return match stream.received().starts_with(PREFACE) {
                    true => Opening::Http2(stream),
                    false => Opening::Http1(stream),
                };
            }
            if stream.received() == PREFACE {
                return Opening::Http2(stream);
            }
            tokio::select! {
                biased;
                received = stream.receive() => match received {
                    Ok(1..) => {}
                    // hyper knows best what to say to half a request.
                    Ok(0) if !stream.received().is_empty() => return Opening::Http1(stream),
                    _ => return Opening::Silent(stream.abandon()),
                },
                overdue = &mut overdue => {
                    self.note_overdue(overdue);
                    if overdue == Overdue::Head {
                        return Opening::Silent(stream.abandon());
                    }
                    match stream.half_close() {
                        Ok(closed) => return Opening::Silent(closed),
                        Err(spoken) => stream = spoken,
                    }
                }
                () = &mut lingered, if stream.received().is_empty() => match stream.half_close() {
                    Ok(closed) => return Opening::Silent(closed),
                    Err(spoken) => stream = spoken,
                },
            }
        }
    }
}
