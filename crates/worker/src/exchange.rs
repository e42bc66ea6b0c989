//! What a connection is doing: it handles a request and its response, or it waits for a request.

mod busy;
mod deadline;
mod stopwatch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::{Method, Request};
use scoreboard::Slot;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::busy::{Busy, Carried, Uploading};
use self::deadline::{Awaited, Leave};
use self::stopwatch::Stopwatch;
use crate::Drain;
use crate::limits::{Limits, Overdue};
use crate::websocket::Goodbye;

/// The request and response that a connection is busy with, and what it waits for.
///
/// ```text
///            received          begin               answered              flushed
/// first byte --------> head ----------> answering ---------> answered ------------> next request
///                        ^                                                              |
///                        +----------------------------- received -----------------------+
/// ```
/// A connection counts as busy until the kernel has the last byte of the response. It is not enough that the
/// response exists: with a slow reader, much of it may still be in the worker. An HTTP/2 connection counts as
/// busy until h2 has the response. h2 keeps what does not fit into the client's window.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The client's address.
    pub(crate) peer: Option<SocketAddr>,
    state: Mutex<State>,
    /// A deadline is now earlier than it was.
    hurry: Notify,
    /// Each piece of a response that the kernel takes extends a deadline.
    is_watched: AtomicBool,
    is_upgraded: AtomicBool,
    /// For a WebSocket.
    goodbye: OnceLock<Arc<Goodbye>>,
    /// The stream is gone, no matter which owner dropped it.
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// A request has begun, and not all requests have ended.
    is_busy: bool,
    /// The last request that began. Copied: a value that shares memory with the head would prevent hyper from
    /// reusing that memory.
    method: Method,
    path: String,
    /// How many requests are not answered yet. With HTTP/1.1 this is at most one.
    open: usize,
    begun: u64,
    is_multiplexed: bool,
    /// How many WebSockets the connection carries.
    inner: usize,
    /// The handler waits for the next piece of a body.
    is_uploading: bool,
    /// Runs while bodies arrive that their handlers do not read.
    unread: Stopwatch,
    /// HTTP/2 only: requests whose client has to read a piece of the response before the next piece is asked
    /// for, and since when. The client may give no window for it (RFC 9113 §5.2).
    untaken: BTreeMap<u64, Instant>,
    /// When the kernel last took a piece of any response.
    taken: Instant,
    /// How many bytes have arrived since the last write.
    heard: usize,
    awaited: Awaited,
    since: Instant,
    /// The kernel takes no more bytes.
    stuck_since: Option<Instant>,
    end: End,
    /// Set if no further request is wanted on this connection.
    leave: Option<Leave>,
    /// It was idle for its whole linger time, and nothing has arrived since.
    has_lingered: bool,
}

/// Whether the client has ended its half while its response is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client has not ended its half.
    Open,
    /// The client has ended its half. Since this time it has read nothing of its response.
    Withheld(Instant),
    /// hyper has been told. It treats such a client as gone.
    Told,
}

impl State {
    fn is_watched(&self) -> bool {
        self.is_multiplexed || self.stuck_since.is_some() || matches!(self.end, End::Withheld(_))
    }

    fn note_path(&mut self, path: &str) {
        const LONGEST: usize = 256;
        self.path.clear();
        self.path.push_str(&path[..path.floor_char_boundary(LONGEST)]);
    }
}

/// A request in progress.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) method: Method,
    /// Only the beginning if it is long.
    pub(crate) path: String,
    pub(crate) since: Instant,
}

impl Exchange {
    /// For a connection that has just been accepted. A TCP connection comes from the address `peer`.
    pub(crate) fn of(peer: Option<SocketAddr>) -> Self {
        Self {
            peer,
            state: Mutex::new(State {
                is_busy: false,
                method: Method::default(),
                path: String::new(),
                open: 0,
                begun: 0,
                is_multiplexed: false,
                inner: 0,
                is_uploading: false,
                unread: Stopwatch::default(),
                untaken: BTreeMap::new(),
                taken: Instant::now(),
                heard: 0,
                awaited: Awaited::FirstByte,
                since: Instant::now(),
                stuck_since: None,
                end: End::Open,
                leave: None,
                has_lingered: false,
            }),
            hurry: Notify::new(),
            is_watched: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            goodbye: OnceLock::new(),
            closed: CancellationToken::new(),
        }
    }

    /// The connection speaks HTTP/2: bytes that arrive need not be a head, and requests overlap.
    pub(crate) fn multiplex(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
        let mut state = self.state();
        state.is_multiplexed = true;
        state.awaited = Awaited::NextRequest;
        state.since = Instant::now();
    }

    /// These bytes have arrived. Empty lines before a head do not count as its beginning (RFC 9112 §2.2).
    pub(crate) fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.is_multiplexed {
            state.heard += bytes.len();
        }
        let is_waiting = matches!(state.awaited, Awaited::FirstByte | Awaited::NextRequest);
        if is_waiting && !state.is_multiplexed && !without_empty_lines(bytes).is_empty() {
            state.awaited = Awaited::Head;
        }
    }

    /// The client has ended its half. Returns whether to hide that from hyper, which would drop the request
    /// that the worker is answering. A client may end its half and wait for the response (RFC 9112 §9.6).
    pub(crate) fn withholds_end(&self) -> bool {
        let mut state = self.state();
        if !state.is_busy || state.is_multiplexed || state.end == End::Told || self.is_upgraded() {
            return false;
        }
        if state.end == End::Open {
            state.end = End::Withheld(Instant::now());
            self.is_watched.store(true, Ordering::Relaxed);
            self.hurry.notify_one();
        }
        true
    }

    /// The response has taken too long for a client that may be gone. From now on hyper sees the end.
    pub(crate) fn tell_end(&self) {
        self.state().end = End::Told;
    }

    /// A reader wants bytes, and none have arrived.
    pub(crate) fn starved(&self) {
        let mut state = self.state();
        if state.awaited == Awaited::Head {
            state.awaited = Awaited::RestOfHead;
            state.since = Instant::now();
            drop(state);
            self.hurry.notify_one();
        }
    }

    /// The head of a request has been read. Drop the returned value when the whole response has been handed
    /// over.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>, slot: &Slot) -> Busy {
        let begun = Instant::now();
        let mut state = self.state();
        state.is_busy = true;
        state.method.clone_from(request.method());
        state.note_path(request.uri().path());
        state.open += 1;
        state.begun += 1;
        state.has_lingered = false;
        state.awaited = Awaited::Nothing;
        state.since = begun;
        let uri = state.is_multiplexed.then(|| request.uri());
        Busy::new(Arc::clone(self), begun, state.begun, uri, slot.request_begun_at(begun.into_std()))
    }

    /// Everything handed over so far has been passed to the kernel. Returns whether the response is complete.
    pub(crate) fn flushed(&self) -> bool {
        let mut state = self.state();
        if state.open == 0 && std::mem::take(&mut state.is_busy) {
            state.awaited = Awaited::NextRequest;
            state.since = Instant::now();
            if state.leave.is_some() {
                self.hurry.notify_one();
            }
        }
        !state.is_busy
    }

    /// The kernel takes no more bytes, because the client does not read.
    pub(crate) fn stuck(&self) {
        let mut state = self.state();
        if state.stuck_since.is_none() {
            state.stuck_since = Some(Instant::now());
            self.is_watched.store(true, Ordering::Relaxed);
            self.hurry.notify_one();
        }
    }

    /// The kernel has taken `length` bytes.
    pub(crate) fn written(&self, length: usize) {
        if self.is_watched.load(Ordering::Relaxed) {
            self.put_off(length);
        }
    }

    fn put_off(&self, length: usize) {
        /// Two GOAWAY frames and a PING, with some reserve.
        const WORDS: usize = 128;
        let (mut state, now) = (self.state(), Instant::now());
        state.stuck_since = None;
        if let End::Withheld(since) = &mut state.end {
            *since = now;
        }
        // GOAWAY, PING and acknowledgements are not a piece of a response. An acknowledgement is never longer
        // than what it acknowledges.
        if length > std::mem::take(&mut state.heard).max(WORDS) {
            state.taken = now;
        }
        self.is_watched.store(state.is_watched(), Ordering::Relaxed);
    }

    /// The connection carries another one, until the returned value is dropped.
    pub(crate) fn carry(self: &Arc<Self>) -> Carried {
        Carried::begin(Arc::clone(self))
    }

    fn note_untaken(&self, number: u64) {
        let mut state = self.state();
        if state.untaken.insert(number, Instant::now()).is_none() && state.untaken.len() == state.open {
            self.hurry.notify_one();
        }
    }

    /// The response switches to another protocol. `goodbye` is that of a WebSocket.
    pub(crate) fn upgrade(&self, goodbye: Option<Goodbye>) {
        if let Some(goodbye) = goodbye {
            self.goodbye.get_or_init(|| Arc::new(goodbye));
        }
        self.is_upgraded.store(true, Ordering::Release);
    }

    /// The goodbye of the WebSocket to which the response switches.
    pub(crate) fn goodbye(&self) -> Option<&Arc<Goodbye>> {
        self.goodbye.get()
    }

    /// Whether the bytes after the response are no longer HTTP.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Acquire)
    }

    /// The stream is gone.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits until the stream is gone. After an upgrade the application owns it.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// The request in progress, if there is one.
    pub(crate) fn current(&self) -> Option<Current> {
        let state = self.state();
        state.is_busy.then(|| Current {
            method: state.method.clone(),
            path: state.path.clone(),
            since: state.since,
        })
    }

    /// Whether nothing is in progress: it is the client's turn, and it has begun nothing. Closing the
    /// connection then loses nothing.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        let is_waiting = matches!(state.awaited, Awaited::FirstByte | Awaited::NextRequest);
        is_waiting && state.inner == 0 && !self.is_upgraded()
    }

    /// Whether the connection carries another one.
    pub(crate) fn carries(&self) -> bool {
        self.state().inner > 0
    }

    /// Whether the connection ends because it was idle in a drain.
    pub(crate) fn has_lingered(&self) -> bool {
        self.state().has_lingered
    }

    /// How many requests have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// No further request is wanted: from now on the connection may be idle for `linger`.
    pub(crate) fn leave(&self, linger: Duration) {
        self.state().leave.get_or_insert(Leave { since: Instant::now(), linger });
        self.hurry.notify_one();
    }

    /// Waits until the client misses a deadline. In a drain an idle connection is kept for `linger`.
    ///
    /// HTTP/1.1 sets one timer for many requests: when it fires, the next deadline is computed. Only a
    /// deadline that is earlier than expected (`hurry`) is set at once.
    pub(crate) async fn overdue(&self, limits: &Limits, drain: &Drain, linger: Duration) -> Overdue {
        loop {
            let (what, at, is_leaving) = {
                let state = self.state();
                let (what, at) = state.deadline(limits);
                (what, at, state.leave.is_some())
            };
            if at <= Instant::now()
                && let Some(what) = what
            {
                self.state().has_lingered = what == Overdue::Lingered;
                return what;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = self.hurry.notified() => {}
                () = drain.begun(), if !is_leaving => self.leave(linger),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes after all leading empty lines.
pub(crate) fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &bytes[begin.unwrap_or(bytes.len())..]
}

#[cfg(test)]
mod tests;
