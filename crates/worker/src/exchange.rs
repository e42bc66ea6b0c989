//! What a connection is doing: a request and its answer, or waiting for one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Request, Uri};
use scoreboard::Slot;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Drain;
use crate::limits::{Limits, Overdue};
use crate::websocket::Goodbye;

/// The request and answer that a connection is busy with, and what it waits for.
///
/// ```text
///            received          begin               answered              flushed
/// first byte --------> head ----------> answering ---------> answered ------------> next request
///                        ^                                                              |
///                        +----------------------------- received -----------------------+
/// ```
/// A connection counts as busy until the kernel has the last byte of the answer, not just until
/// the answer exists: a slow reader may leave much of it in the worker.
#[derive(Debug)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    idle: Notify,
    /// A deadline has come nearer than it was.
    hurry: Notify,
    is_stuck: AtomicBool,
    is_upgraded: AtomicBool,
    goodbye: Mutex<Option<Box<Goodbye>>>,
    /// The stream is gone, whoever had it last.
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// A request has begun and not all are over.
    is_busy: bool,
    /// The last request that began. Copied: what shares memory with the head would keep it from being used again.
    method: Method,
    path: String,
    /// How many are not answered yet: with HTTP/1.1 one at most.
    open: usize,
    begun: u64,
    is_multiplexed: bool,
    /// Somebody waits for the connection to be idle.
    is_lingering: bool,
    awaited: Awaited,
    since: Instant,
    stuck_since: Option<Instant>,
}

impl State {
    fn note_path(&mut self, path: &str) {
        const LONGEST: usize = 256;
        self.path.clear();
        self.path.push_str(&path[..path.floor_char_boundary(LONGEST)]);
    }
}

/// There while a request has not been answered to the last byte.
#[derive(Debug)]
#[must_use = "the request counts as over when this is dropped"]
pub(crate) struct Busy {
    exchange: Arc<Exchange>,
    begun: Instant,
    /// Where others may have begun meanwhile.
    uri: Option<Box<Uri>>,
    request: scoreboard::Request,
    answer: Option<(u16, Instant)>,
}

impl Busy {
    /// The application has answered; what follows is up to the client as well.
    pub(crate) fn answered(&mut self, status: u16) {
        self.answer = Some((status, Instant::now()));
    }

    /// The slot on which it counts.
    pub(crate) fn slot(&self) -> &Slot {
        self.request.slot()
    }

    /// What was asked for.
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
        self.exchange.state().open -= 1;
    }
}

/// What the client has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    FirstByte,
    /// The rest of a head that has begun, or nothing: nobody has looked yet whether that was all.
    Head,
    RestOfHead,
    /// It has asked, and it is the worker's turn.
    Nothing,
    NextRequest,
}

/// A request in progress.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) method: Method,
    /// The beginning of a long one.
    pub(crate) path: String,
    pub(crate) since: Instant,
}

impl Exchange {
    /// Of a connection that has just been accepted.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                is_busy: false,
                method: Method::default(),
                path: String::new(),
                open: 0,
                begun: 0,
                is_multiplexed: false,
                is_lingering: false,
                awaited: Awaited::FirstByte,
                since: Instant::now(),
                stuck_since: None,
            }),
            idle: Notify::new(),
            hurry: Notify::new(),
            is_stuck: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            goodbye: Mutex::new(None),
            closed: CancellationToken::new(),
        }
    }

    /// The connection speaks HTTP/2: bytes that come need not be a head, and requests overlap.
    pub(crate) fn multiplex(&self) {
        let mut state = self.state();
        state.is_multiplexed = true;
        state.awaited = Awaited::NextRequest;
        state.since = Instant::now();
    }

    /// Bytes have come.
    pub(crate) fn received(&self) {
        let mut state = self.state();
        let is_waiting = matches!(state.awaited, Awaited::FirstByte | Awaited::NextRequest);
        if is_waiting && !state.is_multiplexed {
            state.awaited = Awaited::Head;
        }
    }

    /// No more bytes are there, and somebody wants some.
    pub(crate) fn starved(&self) {
        let mut state = self.state();
        if state.awaited == Awaited::Head {
            state.awaited = Awaited::RestOfHead;
            state.since = Instant::now();
            drop(state);
            self.hurry.notify_one();
        }
    }

    /// The head of a request has been read. What is returned is to be dropped when its answer has been
    /// handed over, to the last byte.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>, slot: &Slot) -> Busy {
        let begun = Instant::now();
        let mut state = self.state();
        state.is_busy = true;
        state.method.clone_from(request.method());
        state.note_path(request.uri().path());
        state.open += 1;
        state.begun += 1;
        state.awaited = Awaited::Nothing;
        state.since = begun;
        Busy {
            exchange: Arc::clone(self),
            begun,
            uri: state.is_multiplexed.then(|| Box::new(request.uri().clone())),
            request: slot.request_begun_at(begun.into_std()),
            answer: None,
        }
    }

    /// Everything handed over so far has been passed to the kernel.
    pub(crate) fn flushed(&self) {
        let mut state = self.state();
        if state.open == 0 && std::mem::take(&mut state.is_busy) {
            state.awaited = Awaited::NextRequest;
            state.since = Instant::now();
            if state.is_lingering {
                self.idle.notify_waiters();
            }
        }
    }

    /// The kernel takes no more bytes, for the client does not read.
    pub(crate) fn stuck(&self) {
        if !self.is_stuck.swap(true, Ordering::Relaxed) {
            self.state().stuck_since = Some(Instant::now());
            self.hurry.notify_one();
        }
    }

    /// The kernel has taken some.
    pub(crate) fn written(&self) {
        if self.is_stuck.load(Ordering::Relaxed) {
            self.is_stuck.store(false, Ordering::Relaxed);
            self.state().stuck_since = None;
        }
    }

    /// The answer switches to another protocol, of which this is the goodbye.
    pub(crate) fn upgrade(&self, goodbye: Option<Goodbye>) {
        *self.goodbye.lock().unwrap_or_else(PoisonError::into_inner) = goodbye.map(Box::new);
        self.is_upgraded.store(true, Ordering::Release);
    }

    /// The goodbye, for the stream.
    pub(crate) fn take_goodbye(&self) -> Option<Box<Goodbye>> {
        match self.is_upgraded() {
            true => self.goodbye.lock().unwrap_or_else(PoisonError::into_inner).take(),
            false => None,
        }
    }

    /// Whether what follows the answer is no longer HTTP.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Acquire)
    }

    /// The stream is gone.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits until the stream is gone. After an upgrade it is the application's.
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

    /// How many requests have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// Waits until the worker drains and the connection then has been idle for `linger`.
    ///
    /// The time starts anew after an answer: one that began before the drain could not say
    /// `Connection: close`, so its client may send another request.
    pub(crate) async fn lingered(&self, drain: &Drain, linger: Duration) {
        drain.begun().await;
        self.state().is_lingering = true;
        loop {
            self.until_idle().await;
            let begun = self.begun();
            tokio::time::sleep(linger).await;
            let state = self.state();
            if !state.is_busy && state.begun == begun {
                return;
            }
        }
    }

    async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if !self.state().is_busy {
                return;
            }
            idle.await;
        }
    }

    /// Waits until the client has not done in time what it had to do.
    ///
    /// A timer is set once for many requests: when it is over, the next deadline is worked out.
    /// Only one that comes nearer than expected (`hurry`) is set at once.
    pub(crate) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            let (what, at) = self.deadline(limits);
            if at <= Instant::now()
                && let Some(what) = what
            {
                return what;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    /// What has to happen next and until when; while it is the worker's turn, when to look again.
    fn deadline(&self, limits: &Limits) -> (Option<Overdue>, Instant) {
        let state = self.state();
        if let Some(since) = state.stuck_since {
            return (Some(Overdue::Write), since + limits.write);
        }
        match state.awaited {
            Awaited::FirstByte => (Some(Overdue::FirstByte), state.since + limits.first_byte),
            Awaited::RestOfHead => (Some(Overdue::Head), state.since + limits.head),
            Awaited::NextRequest => (Some(Overdue::Idle), state.since + limits.idle),
            Awaited::Head | Awaited::Nothing => (None, Instant::now() + limits.idle),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
