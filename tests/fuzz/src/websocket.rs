//! What the application of a WebSocket sends, and the Close in between.

use app_cluster_worker::fuzzing::{Frames, Goodbye};

/// The first eight bytes are the lengths of the pieces in which the rest is sent. The next one says when the
/// drain begins.
pub(crate) fn run(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_first_chunk::<8>() else { return };
    let Some((drain_at, stream)) = rest.split_first() else { return };
    let truth = Truth::of(stream);
    let mut frames = Frames::default();
    let mut farewell = Farewell::default();
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
            farewell.has_begun = true;
        }
        farewell.sent(piece, frames.are_whole() && !has_closed, usize::from(*length) % 5);
    }
}

/// Where frames end, computed from the whole input.
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

    /// Where the frame that begins here ends, if it is complete.
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

/// A goodbye that begins at some moment.
#[derive(Default)]
struct Farewell {
    goodbye: Goodbye,
    has_begun: bool,
    said: Vec<u8>,
}

impl Farewell {
    /// Behaves like a stream: the application's bytes go out as long as they may. After them comes Close, if
    /// it may be sent.
    fn sent(&mut self, piece: &[u8], may_close: bool, most: usize) {
        const CLOSE: [u8; 4] = [0x88, 2, 3, 0xe9];
        let is_out = !self.said.is_empty();
        assert_eq!(self.goodbye.passes(piece), !is_out, "nothing follows Close");
        if !self.has_begun || is_out {
            return;
        }
        self.goodbye.say(|bytes| {
            let bytes = &bytes[..bytes.len().min(most + 1)];
            self.said.extend(bytes);
            Ok(bytes.len())
        });
        assert_eq!(!self.said.is_empty(), may_close);
        assert!(!may_close || self.said == CLOSE, "{:?}", self.said);
    }
}
