//! Guards that exist while a request is answered, while its body arrives, or while a connection carries
//! another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use scoreboard::Slot;
use tokio::time::Instant;

use super::Exchange;

/// Exists until a request has been answered to the last byte.
#[derive(Debug)]
#[must_use = "the request counts as over when this is dropped"]
pub(crate) struct Busy {
    exchange: Arc<Exchange>,
    begun: Instant,
    /// Which of the connection's requests it is.
    number: u64,
    /// Present if other requests may have begun meanwhile.
    uri: Option<Box<Uri>>,
    request: scoreboard::Request,
    answer: Option<(u16, Instant)>,
}

impl Busy {
    /// Keeps the requested address if other requests may begin before this one is answered.
    pub(super) fn new(
        exchange: Arc<Exchange>,
        begun: Instant,
        number: u64,
        uri: Option<&Uri>,
        request: scoreboard::Request,
    ) -> Self {
        Self { exchange, begun, number, uri: uri.cloned().map(Box::new), request, answer: None }
    }

    /// The application has answered. The rest depends on the client as well.
    pub(crate) fn answered(&mut self, status: u16) {
        self.answer = Some((status, Instant::now()));
    }

    /// A piece of the response is out. It is the client's turn to read it.
    pub(crate) fn piece_is_out(&self) {
        if self.uri.is_some() {
            self.exchange.note_untaken(self.number);
        }
    }

    /// The application has no further piece of the response yet. It is the application's turn.
    pub(crate) fn piece_is_awaited(&self) {
        if self.uri.is_some() {
            self.exchange.state().untaken.remove(&self.number);
        }
    }

    /// The body arrives until the returned value is dropped.
    pub(crate) fn uploading(&self) -> Uploading {
        self.exchange.state().unread.start();
        Uploading { exchange: Arc::clone(&self.exchange), is_awaited: false }
    }

    /// The client's address. A unix socket has none.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.exchange.peer
    }

    /// The slot on which the request counts.
    pub(crate) fn slot(&self) -> &Slot {
        self.request.slot()
    }

    /// The requested path.
    pub(crate) fn path(&self) -> String {
        match &self.uri {
            Some(uri) => uri.path().to_owned(),
            None => self.exchange.state().path.clone(),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some((status, at)) = self.answer {
            self.request.answered_in(status, at - self.begun);
        }
        let mut state = self.exchange.state();
        state.open -= 1;
        if self.uri.is_some() {
            state.untaken.remove(&self.number);
        }
    }
}

/// Exists while the body of a request arrives.
#[derive(Debug)]
pub(crate) struct Uploading {
    exchange: Arc<Exchange>,
    /// The handler waits for the next piece.
    is_awaited: bool,
}

impl Uploading {
    /// Notes whether the handler waits for the next piece.
    pub(crate) fn note(&mut self, is_awaited: bool) {
        if self.is_awaited == is_awaited {
            return;
        }
        self.is_awaited = is_awaited;
        let mut state = self.exchange.state();
        state.is_uploading = is_awaited;
        match is_awaited {
            true => state.unread.stop(),
            false => state.unread.start(),
        }
    }

    /// For how long in total the client may have been unable to send a body that a handler waits for. That is
    /// so while another handler does not read its own body: unread bytes use up the window that all bodies
    /// share.
    pub(crate) fn kept_from_coming(&self) -> Duration {
        self.exchange.state().unread.elapsed()
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        let mut state = self.exchange.state();
        state.is_uploading = false;
        if !self.is_awaited {
            state.unread.stop();
        }
    }
}

/// Exists while a connection carries another.
#[derive(Debug)]
pub(crate) struct Carried(Arc<Exchange>);

impl Carried {
    pub(super) fn begin(exchange: Arc<Exchange>) -> Self {
        exchange.state().inner += 1;
        Self(exchange)
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.inner -= 1;
        state.since = Instant::now();
        drop(state);
        self.0.hurry.notify_one();
    }
}
