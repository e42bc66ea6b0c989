//! What the application of a WebSocket sends, and the goodbye in between.

use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use app_cluster_worker::Drain;
use app_cluster_worker::fuzzing::{Frames, Goodbye, begin};
use tokio::runtime::{Builder, Runtime};

/// Has the clock by which the peer has its moment.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("there is memory"));

/// The first eight bytes say how long the pieces are in which the rest is sent, the next one when the drain begins.
pub(crate) fn run(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((drain_at, stream)) = rest.split_first() else { return };
    let truth = Truth::of(stream);
    let mut frames = Frames::default();
    let mut farewell = Farewell::new();
    let mut at = 0;
    for (number, length) in lengths.iter().cycle().enumerate() {
        if at == stream.len() {
            break;
        }
        let piece = &stream[at..][..usize::from(*length).clamp(1, stream.len() - at)];
        at += piece.len();
        frames.follow(piece);
        assert_eq!(frames.are_whole(), truth.ends.binary_search(&at).is_ok(), "after {at} bytes");
        let has_closed = truth.closed.is_some_and(|close| close <= at);
        assert_eq!(frames.has_closed(), has_closed, "after {at} bytes");
        if number == usize::from(*drain_at) {
            begin(&farewell.drain);
        }
        farewell.sent(piece, frames.are_whole() && !has_closed, usize::from(*length) % 5);
    }
}

/// Where frames end, worked out from the whole.
struct Truth {
    ends: Vec<usize>,
    /// Where the head of the first Close ends.
    closed: Option<usize>,
}

impl Truth {
    fn of(stream: &[u8]) -> Self {
        let mut truth = Self { ends: Vec::new(), closed: None };
        let head = stream.windows(4).position(|window| window == b"\r\n\r\n");
        let mut at = head.map(|head| head + 4);
        while let Some(begin) = at {
            truth.ends.push(begin);
            at = truth.frame(begin, &stream[begin..]);
        }
        truth
    }

    /// Where the frame ends that begins here, if its head is whole and it does.
    fn frame(&mut self, begin: usize, rest: &[u8]) -> Option<usize> {
        let (first, second) = (*rest.first()?, *rest.get(1)?);
        let (head, payload) = match second & 127 {
            126 => (4, u128::from(u16::from_be_bytes(*rest.get(2..)?.first_chunk()?))),
            127 => (10, u128::from(u64::from_be_bytes(*rest.get(2..)?.first_chunk()?))),
            short => (2, u128::from(short)),
        };
        let head = head + if second & 128 == 0 { 0 } else { 4 };
        if rest.len() < head {
            return None;
        }
        if first & 15 == 8 {
            self.closed.get_or_insert(begin + head);
        }
        let end = usize::try_from(head as u128 + payload).ok()?;
        (end <= rest.len()).then(|| begin + end)
    }
}

struct Farewell {
    drain: Drain,
    goodbye: Goodbye,
    said: Vec<u8>,
}

impl Farewell {
    fn new() -> Self {
        let drain = Drain::default();
        let goodbye = Goodbye::new(&drain, Duration::from_secs(5));
        Self { drain, goodbye, said: Vec::new() }
    }

    /// As a stream does it: what the application sends goes out as long as it may, and after it Close, if it may come.
    fn sent(&mut self, piece: &[u8], may_close: bool, most: usize) {
        const CLOSE: [u8; 4] = [0x88, 2, 3, 0xe9];
        if !self.goodbye.is_open() {
            return;
        }
        let _runtime = RUNTIME.enter();
        self.goodbye.sent(piece);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..=CLOSE.len() {
            let _ = self.goodbye.poll_say(&mut context, |_, bytes| {
                let bytes = &bytes[..bytes.len().min(most)];
                self.said.extend(bytes);
                Poll::Ready(Ok(bytes.len()))
            });
        }
        assert_eq!(!self.goodbye.is_open(), self.drain.has_begun() && may_close);
        assert!(self.said.is_empty() || !self.goodbye.is_open());
        assert!(CLOSE.starts_with(&self.said), "{:?}", self.said);
    }
}
