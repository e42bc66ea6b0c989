//! Bytes that are no request, or only half of one.

use std::time::Duration;

use fastrand::Rng;

use crate::ground::Connection;

/// The first bytes of an HTTP/2 client, with empty settings (RFC 9113 §3.4, §6.5).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The requests into which errors are inserted.
const REQUESTS: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\nHost: app-cluster\r\nConnection: keep-alive\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: app-cluster\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /echo HTTP/1.1\r\nHost: app-cluster\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: app-cluster\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x05hello",
];
/// The head of `GET /` in HPACK (RFC 7541, appendix A).
const GET: &[u8] = b"\x82\x84\x86";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Sends garbage, and gives the server a moment to answer.
pub(crate) async fn send(mut connection: Connection, rng: &mut Rng) {
    let garbage = write(rng);
    if connection.send(&garbage).await.is_ok() {
        let _ = connection.pause(Duration::from_millis(rng.u64(0..=500))).await;
    }
}

fn write(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(0..7) {
        0 => noise(rng, 4096),
        1 => misspelt(rng),
        2 => cut(rng),
        3 => [HTTP2, &noise(rng, 4096)].concat(),
        4 => HTTP2.iter().copied().chain((0..rng.u8(1..=16)).flat_map(|_| any_frame(rng))).collect(),
        5 => endless_head(rng),
        _ => rapid_resets(rng),
    }
}

fn noise(rng: &mut Rng, most: usize) -> Vec<u8> {
    let length = rng.usize(1..=most);
    (0..length).map(|_| rng.u8(..)).collect()
}

fn request(rng: &mut Rng) -> Vec<u8> {
    REQUESTS[rng.usize(0..REQUESTS.len())].to_vec()
}

/// A request with a few bytes replaced.
fn misspelt(rng: &mut Rng) -> Vec<u8> {
    let mut request = request(rng);
    for _ in 0..rng.u8(1..=8) {
        let at = rng.usize(0..request.len());
        request[at] = rng.u8(..);
    }
    request
}

/// The beginning of a request.
fn cut(rng: &mut Rng) -> Vec<u8> {
    let mut request = request(rng);
    request.truncate(rng.usize(1..request.len()));
    request
}

fn frame(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A frame of any type, known or unknown. Its length may be wrong.
fn any_frame(rng: &mut Rng) -> Vec<u8> {
    let payload = noise(rng, 256);
    let length = if rng.u8(..) < 32 { rng.usize(0..1 << 24) } else { payload.len() };
    let kind = rng.u8(0..=12);
    let flags = rng.u8(..);
    frame(length, kind, flags, rng.u32(0..=32), &payload)
}

/// A mebibyte of CONTINUATION frames, each with more fields that are never indexed (RFC 7541 §6.2.3).
fn endless_head(rng: &mut Rng) -> Vec<u8> {
    let field = [&b"\x10\x01x\x7f\x81\x01"[..], &[b'a'; 256]].concat();
    let fields = field.repeat(16_384 / field.len());
    let beginning = frame(GET.len(), HEADERS, END_STREAM, 1, GET);
    let more = frame(fields.len(), CONTINUATION, 0, 1, &fields).repeat(rng.usize(1..=64));
    [HTTP2, &beginning, &more].concat()
}

/// Requests that are reset at once (CVE-2023-44487).
fn rapid_resets(rng: &mut Rng) -> Vec<u8> {
    const CANCEL: &[u8] = &[0, 0, 0, 8];
    let mut frames = HTTP2.to_vec();
    for stream in (1..).step_by(2).take(rng.usize(1..=1000)) {
        frames.extend(frame(GET.len(), HEADERS, END_STREAM | END_HEADERS, stream, GET));
        frames.extend(frame(CANCEL.len(), RST_STREAM, 0, stream, CANCEL));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_writes_the_same_again() {
        let write_all = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..100).map(|_| write(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(write_all(7), write_all(7));
        assert_ne!(write_all(7), write_all(8));
    }

    #[test]
    fn an_endless_head_is_longer_than_a_server_takes() {
        let mut rng = Rng::with_seed(7);
        let longest = (0..100).map(|_| endless_head(&mut rng).len()).max().unwrap();
        assert!(longest > 800_000, "{longest}");
    }
}
