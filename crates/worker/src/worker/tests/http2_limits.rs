//! The limits for an HTTP/2 client. The tests write frames by hand, because libraries obey the limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const END_STREAM_AND_HEADERS: u8 = 5;

/// One frame (RFC 9113 §4.1): type, stream, payload.
type Frame = (u8, u32, Vec<u8>);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET` of this path, shorter than 127 bytes (RFC 7541 §6).
fn get(stream: u32, path: &str) -> Vec<u8> {
    let path = [&[0x44, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat();
    let fields = [&[0x82, 0x86][..], &path, b"\x41\x04test"].concat();
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &fields)
}

/// The head of a `POST` to this path, whose body is to follow.
fn post(stream: u32, path: &str) -> Vec<u8> {
    let path = [&[0x44, u8::try_from(path.len()).unwrap()], path.as_bytes()].concat();
    frame(HEADERS, END_HEADERS, stream, &[&[0x83, 0x86][..], &path, b"\x41\x04test"].concat())
}

/// A client that has sent its preface, with these settings.
async fn connect(server: &Running, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, settings)[..]].concat();
    stream.write_all(&hello).await.unwrap();
    stream
}

async fn receive(stream: &mut TcpStream) -> Frame {
    let mut head = [0; 9];
    soon(stream.read_exact(&mut head)).await.unwrap();
    let [a, b, c, kind, _flags, number @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    soon(stream.read_exact(&mut payload)).await.unwrap();
    (kind, u32::from_be_bytes(number), payload)
}

async fn until(stream: &mut TcpStream, kind: u8) -> Frame {
    loop {
        let frame = receive(stream).await;
        if frame.0 == kind {
            return frame;
        }
    }
}

/// The server's value of a setting (RFC 9113 §6.5.2).
fn setting(payload: &[u8], identifier: u16) -> Option<u32> {
    let settings = payload.chunks_exact(6).map(|setting| setting.split_at(2));
    let mut found = settings.filter(|(name, _)| *name == identifier.to_be_bytes());
    found.next().map(|(_, value)| u32::from_be_bytes(value.try_into().unwrap()))
}

#[tokio::test]
async fn limits_are_announced() {
    let server = Running::start(worker(Duration::ZERO), hello()).await;
    let mut stream = connect(&server, &[]).await;
    let (_, _, settings) = until(&mut stream, SETTINGS).await;
    let [streams, window, head] = [3, 4, 6].map(|identifier| setting(&settings, identifier).unwrap());
    assert_eq!((streams, window, head), (100, 256 * 1024, 64 * 1024));
    let (_, number, more) = until(&mut stream, WINDOW_UPDATE).await;
    assert_eq!((number, more), (0, (1024 * 1024 - 65_535_u32).to_be_bytes().to_vec()));
}

#[tokio::test]
async fn who_does_not_wait_is_refused_and_the_others_are_answered() {
    let (router, open, mut came) = http2::gate();
    let server = Running::start(worker(Duration::ZERO).max_streams(2), router).await;
    let mut stream = connect(&server, &[]).await;
    assert_eq!(setting(&until(&mut stream, SETTINGS).await.2, 3), Some(2));
    let requests = [get(1, "/gate"), get(3, "/gate"), get(5, "/gate")].concat();
    stream.write_all(&requests).await.unwrap();
    // REFUSED_STREAM
    assert_eq!(until(&mut stream, RST_STREAM).await, (RST_STREAM, 5, vec![0, 0, 0, 7]));
    for _ in 0..2 {
        soon(came.recv()).await.unwrap();
    }
    assert!(came.try_recv().is_err(), "the third request reached the handler");
    open.send(true).unwrap();
    let mut answered = [until(&mut stream, HEADERS).await.1, until(&mut stream, HEADERS).await.1];
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    // There is room again.
    stream.write_all(&get(7, "/")).await.unwrap();
    assert_eq!(until(&mut stream, HEADERS).await.1, 7);
}

/// Endless responses that the client does not read: the worker keeps only a little of each, beyond the
/// kernel's buffers.
#[tokio::test]
async fn little_is_kept_of_answers_that_are_not_read() {
    const PIECE: usize = 16 * 1024;
    const STREAMS: u32 = 100;
    let pieces = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&pieces);
    let endless = move || {
        let counted = Arc::clone(&counted);
        let piece = move |()| {
            counted.fetch_add(1, Relaxed);
            async { Some((Ok::<_, std::io::Error>(Bytes::from_static(&[0; PIECE])), ())) }
        };
        async { Body::from_stream(stream::unfold((), piece)) }
    };
    let router = hello().route("/endless", axum::routing::get(endless));
    let server =
        Running::start(worker(Duration::ZERO).write_timeout(Duration::from_millis(500)), router).await;
    // The widest windows possible, for each stream and for the connection.
    let mut client = connect(&server, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
    client.write_all(&frame(WINDOW_UPDATE, 0, 0, &(i32::MAX as u32 - 65_535).to_be_bytes())).await.unwrap();
    for stream in 0..STREAMS {
        client.write_all(&get(2 * stream + 1, "/endless")).await.unwrap();
    }
    soon(async {
        while pieces.load(Relaxed) <= u64::from(STREAMS) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The client reads nothing. This ends the connection in the drain too, long before the drain deadline.
    assert_eq!(soon(server.stop()).await.unwrap(), 0);
    let kept = pieces.load(Relaxed) * PIECE as u64;
    let most = u64::from(STREAMS) * (64 + 16) * 1024;
    assert!(kept < most + 16 * 1024 * 1024, "{kept} bytes were asked for");
}

const WINDOW: u8 = 4;
const SHORT: Duration = Duration::from_millis(50);

/// Returns when the connection has ended.
async fn until_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn who_gives_no_window_is_like_one_that_does_not_read() {
    let server = Running::start(worker(Duration::ZERO).write_timeout(SHORT), hello()).await;
    let mut stream = connect(&server, &[0, WINDOW, 0, 0, 0, 0]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    until_closed(stream).await;
}

/// Without a window, the response waits in the application. A little of it is in the library.
#[tokio::test]
async fn who_gives_little_window_does_not_hold_a_drain() {
    for window in [0, 1] {
        let server = Running::start(worker(Duration::ZERO), hello()).await;
        let mut stream = connect(&server, &[0, WINDOW, 0, 0, 0, window]).await;
        stream.write_all(&get(1, "/")).await.unwrap();
        until(&mut stream, HEADERS).await;
        let begin = std::time::Instant::now();
        assert_eq!(soon(server.stop()).await.unwrap(), 0, "window {window}");
        assert!(begin.elapsed() < Duration::from_secs(7), "window {window}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn who_goes_on_after_the_goodbye_does_not_hold_a_drain() {
    let server = Running::start(worker(Duration::ZERO), hello()).await;
    let mut stream = connect(&server, &[]).await;
    stream.write_all(&get(1, "/")).await.unwrap();
    until(&mut stream, HEADERS).await;
    let begin = std::time::Instant::now();
    let talk = async {
        // With this PING the worker checks whether its GOAWAY has arrived (RFC 9113 §6.8).
        let (_, _, asked) = until(&mut stream, PING).await;
        stream.write_all(&frame(PING, ACK, 0, &asked)).await.unwrap();
        while stream.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        forced = soon(server.stop()) => assert_eq!(forced.unwrap(), 0),
        () = talk => {}
    }
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");
}

/// All streams share the window of the connection. Bodies that their handlers do not read block the others.
#[tokio::test]
async fn an_upload_that_others_keep_from_coming_is_waited_for() {
    let (open, is_open) = tokio::sync::watch::channel(false);
    let deaf = axum::routing::post(move |body: Body| {
        let mut is_open = is_open.clone();
        async move {
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            drop(body);
        }
    });
    let echo = axum::routing::post(async |body: Bytes| body);
    let router = hello().route("/deaf", deaf).route("/echo", echo);
    const PATIENCE: Duration = Duration::from_secs(3);
    let server = Running::start(worker(Duration::ZERO).body_timeout(PATIENCE), router).await;
    let mut client = connect(&server, &[]).await;
    until(&mut client, WINDOW_UPDATE).await;
    client.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
    for stream in [1, 3, 5, 7] {
        client.write_all(&post(stream, "/deaf")).await.unwrap();
        for _ in 0..16 {
            client.write_all(&frame(DATA, 0, stream, &[0; 16 * 1024])).await.unwrap();
        }
    }
    client.write_all(&post(9, "/echo")).await.unwrap();
    let told = tokio::time::timeout(PATIENCE.mul_f64(2.75), until(&mut client, HEADERS)).await;
    assert!(told.is_err(), "the client cannot send, and still got an error: {told:?}");
    open.send(true).unwrap();
    until(&mut client, WINDOW_UPDATE).await;
    // From now on it has the same time as any other client.
    tokio::time::sleep(PATIENCE / 2).await;
    client.write_all(&frame(DATA, END_STREAM, 9, b"hello")).await.unwrap();
    assert_eq!(status_of(&mut client, 9).await, OK);
    while until(&mut client, DATA).await.1 != 9 {}
}

/// `:status: 200`, as it stands in the static table (RFC 7541 appendix A).
const OK: u8 = 0x88;

/// The first byte of the head of the response on this stream.
async fn status_of(client: &mut TcpStream, stream: u32) -> u8 {
    loop {
        let (_, number, head) = until(client, HEADERS).await;
        if number == stream {
            return head[0];
        }
    }
}
