//! Frames, cut at any place, and the Close between them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

/// A frame from a server, or from a client (`mask`).
fn frame(opcode: u8, length: usize, mask: bool) -> Vec<u8> {
    let mask_bit = if mask { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode];
    match length {
        0..126 => frame.push(mask_bit | length as u8),
        126..65536 => {
            frame.push(mask_bit | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask_bit | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    if mask {
        frame.extend([1, 2, 3, 4]);
    }
    frame.extend(vec![b'x'; length]);
    frame
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..3_usize, 120..130_usize, 65530..65540_usize]
}

proptest! {
    #[test]
    fn frames_are_whole_at_their_ends_only(
        frames in vec((lengths(), any::<bool>()), 1..4),
        pieces in vec(1..70_000_usize, 1..20),
    ) {
        let mut text = HEAD.to_vec();
        let mut ends = vec![text.len()];
        for (length, mask) in frames {
            text.extend(frame(2, length, mask));
            ends.push(text.len());
        }
        let mut sent = Frames::default();
        let mut at = 0;
        for piece in pieces.iter().cycle() {
            let end = (at + piece).min(text.len());
            sent.follow(&text[at..end]);
            at = end;
            prop_assert_eq!(sent.are_whole(), ends.contains(&at), "after {} bytes", at);
            if at == text.len() {
                break;
            }
        }
        prop_assert!(!sent.closed);
    }

    #[test]
    fn nonsense_is_followed_too(bytes in vec(any::<u8>(), 0..2000)) {
        Frames::default().follow(&bytes);
    }
}

/// A stream that takes at most this many bytes at once.
#[derive(Default)]
struct Sent(Vec<u8>);

impl Sent {
    fn say(&mut self, goodbye: &Goodbye, most: usize) -> Said {
        goodbye.say(|bytes| {
            let length = bytes.len().min(most);
            self.0.extend(&bytes[..length]);
            Ok(length)
        })
    }
}

/// Whether the application may send these bytes. The stream takes all of them.
fn passes(goodbye: &Goodbye, bytes: &[u8]) -> bool {
    let mut is_sent = false;
    let passed = goodbye.pass(bytes, |bytes| {
        is_sent = true;
        Poll::Ready(Ok(bytes.len()))
    });
    assert!(matches!(passed, Poll::Ready(Ok(length)) if length == bytes.len()));
    is_sent
}

#[test]
fn close_comes_between_two_frames() {
    let (goodbye, mut sent) = (Goodbye::default(), Sent::default());
    assert!(passes(&goodbye, HEAD));
    let text = frame(1, 300, false);
    assert!(passes(&goodbye, &text[..100]));
    assert_eq!(sent.say(&goodbye, 1), Said::AfterThisFrame);
    assert!(sent.0.is_empty());
    assert!(passes(&goodbye, &text[100..]));
    assert_eq!(sent.say(&goodbye, 1), Said::Whole);
    assert!(!passes(&goodbye, &text), "nothing follows Close");
    assert_eq!(sent.say(&goodbye, 1), Said::Whole);
    assert_eq!(sent.0, CLOSE, "once");
}

#[test]
fn nothing_follows_the_applications_own_close() {
    let (goodbye, mut sent) = (Goodbye::default(), Sent::default());
    assert!(passes(&goodbye, HEAD));
    assert!(passes(&goodbye, &frame(8, 2, false)));
    assert_eq!(sent.say(&goodbye, 9), Said::Whole);
    assert!(sent.0.is_empty());
}

#[test]
fn a_peer_that_is_gone_needs_no_goodbye() {
    let goodbye = Goodbye::default();
    assert!(passes(&goodbye, HEAD));
    assert_eq!(Sent::default().say(&goodbye, 0), Said::InVain);
}
