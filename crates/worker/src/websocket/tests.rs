//! Frames, however they are cut, and the goodbye between them.

use std::io;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

/// A frame as a server sends it, or a client (`mask`).
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

/// A stream that takes up to so many bytes at once.
#[derive(Default)]
struct Sent(Vec<u8>);

impl Sent {
    fn say(&mut self, goodbye: &mut Goodbye, most: usize) -> Poll<()> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        goodbye.poll_say(&mut context, |_, bytes| {
            let length = bytes.len().min(most);
            self.0.extend(&bytes[..length]);
            Poll::Ready(io::Result::Ok(length))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn close_comes_between_two_frames_and_the_peer_has_a_moment() {
    let drain = Drain::default();
    let mut goodbye = Goodbye::new(&drain, Duration::from_secs(5));
    let mut sent = Sent::default();
    goodbye.sent(HEAD);
    assert!(sent.say(&mut goodbye, 1).is_pending());
    let text = frame(1, 300, false);
    goodbye.sent(&text[..100]);
    drain.begin();
    assert!(sent.say(&mut goodbye, 1).is_pending());
    assert!(sent.0.is_empty() && goodbye.is_open(), "in the middle of a frame");
    goodbye.sent(&text[100..]);
    assert!(sent.say(&mut goodbye, 1).is_pending());
    assert_eq!((&sent.0[..], goodbye.is_open()), (&CLOSE[..], false));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(sent.say(&mut goodbye, 1).is_ready());
    assert_eq!(sent.0, CLOSE, "once");
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_applications_own_close() {
    let drain = Drain::default();
    let mut goodbye = Goodbye::new(&drain, Duration::from_secs(5));
    let mut sent = Sent::default();
    goodbye.sent(HEAD);
    goodbye.sent(&frame(8, 2, false));
    drain.begin();
    assert!(sent.say(&mut goodbye, 9).is_pending());
    assert!(sent.0.is_empty() && goodbye.is_open());
}

#[tokio::test]
async fn a_peer_that_is_gone_needs_no_goodbye() {
    let drain = Drain::default();
    drain.begin();
    let mut goodbye = Goodbye::new(&drain, Duration::from_secs(5));
    goodbye.sent(HEAD);
    assert!(Sent::default().say(&mut goodbye, 0).is_ready());
}
