//! Tests the client with servers that end other protocols than HTTP/1.1 without the protocol's close.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod server;

use std::net::SocketAddr;
use std::time::Duration;

use client::{Failure, Load, Report};
use futures_util::{SinkExt, StreamExt};
use server::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

async fn head(stream: &mut TcpStream) {
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") && stream.read_buf(&mut received).await.is_ok_and(|n| n > 0) {}
}

async fn run(load: Load) -> Report {
    load.timeout(Duration::from_secs(5)).run_for(Duration::from_millis(300)).await
}

#[track_caller]
fn expect_only(report: &Report, failure: Failure) {
    assert!(report.failed() > 0, "{report}");
    assert_eq!(report.count(failure), report.failed(), "{report}");
}

const ONE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
    9\r\ndata: 1\n\n\r\n";

#[tokio::test]
async fn events_without_a_last_chunk_are_cut() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(ONE).await.unwrap();
    })
    .await;
    expect_only(&run(Load::new(address).events()).await, Failure::Truncated);
}

#[tokio::test]
async fn half_an_event_is_malformed() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(ONE).await.unwrap();
        stream.write_all(b"6\r\ndata: \r\n0\r\n\r\n").await.unwrap();
    })
    .await;
    expect_only(&run(Load::new(address).events()).await, Failure::Malformed);
}

#[tokio::test]
async fn events_may_end() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(&[ONE, b"0\r\n\r\n"].concat()).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let report = run(Load::new(address).events()).await;
    assert!(report.is_clean() && report.ok > 1, "{report}");
}

/// A WebSocket server that sends this instead of the second echo.
async fn websockets(instead: Option<Message>) -> SocketAddr {
    server(move |stream| {
        let instead = instead.clone();
        async move {
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let Some(Ok(first)) = socket.next().await else { return };
            socket.send(first).await.unwrap();
            let _ = socket.next().await;
            if let Some(instead) = instead {
                socket.send(instead).await.unwrap();
                while socket.next().await.is_some_and(|next| next.is_ok()) {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_websocket_without_close_is_cut() {
    let address = websockets(None).await;
    expect_only(&run(Load::new(address).websockets()).await, Failure::Truncated);
}

#[tokio::test]
async fn a_websocket_that_closes_for_another_reason_is_no_goodbye() {
    let close = CloseFrame { code: CloseCode::Error, reason: "".into() };
    let address = websockets(Some(Message::Close(Some(close)))).await;
    expect_only(&run(Load::new(address).websockets()).await, Failure::WrongBody);
}

#[tokio::test]
async fn a_websocket_may_go_away() {
    let close = CloseFrame { code: CloseCode::Away, reason: "".into() };
    let address = websockets(Some(Message::Close(Some(close)))).await;
    let report = run(Load::new(address).websockets()).await;
    assert!(report.is_clean() && report.ok > 1, "{report}");
}

/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// GOAWAY without an error: the server has processed no request.
const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An HTTP/2 server that sends this when a request has arrived, and closes.
async fn http2(last: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        stream.write_all(SETTINGS).await.unwrap();
        let mut received = Vec::new();
        // The frame that begins a request (RFC 9113 §6.2): type 1 after three bytes of length.
        while !received.windows(5).any(|bytes| bytes[3] == 1 && bytes[4] & 0x4 != 0) {
            if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
                return;
            }
        }
        stream.write_all(last).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn an_http2_connection_that_is_closed_loses_what_was_sent_on_it() {
    let report = run(Load::new(http2(b"").await).http2(1)).await;
    let cut = report.count(Failure::EofBeforeAnswer) + report.count(Failure::ResetBeforeAnswer);
    assert!(cut > 0 && cut == report.failed(), "{report}");
}

#[tokio::test]
async fn an_http2_connection_that_is_closed_between_two_requests_has_to_say_so() {
    let address = server(|stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(http::Response::new(()), true).unwrap();
        // The sent bytes leave while the next request is awaited.
        let next = tokio::time::timeout(Duration::from_millis(50), connection.accept()).await;
        assert!(next.is_err(), "the client pauses");
    })
    .await;
    let gap = Duration::from_millis(150);
    let report = run(Load::new(address).http2(1).gap(gap..=gap)).await;
    assert!(report.ok > 0, "{report}");
    expect_only(&report, Failure::ClosedUnannounced);
}

#[tokio::test]
async fn an_http2_request_that_was_refused_in_so_many_words_is_not_lost() {
    let report = run(Load::new(http2(GOAWAY).await).http2(1)).await;
    assert!(report.connections > 1 && report.failed() == 0, "{report}");
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn pipelined_requests_are_lost_when_nobody_said_close() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        stream.shutdown().await.unwrap();
        while stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {}
    })
    .await;
    expect_only(&run(Load::new(address).pipeline(8)).await, Failure::EofBeforeAnswer);
}

#[tokio::test]
async fn pipelined_requests_behind_a_close_are_not() {
    let address = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(&[ANSWER, LAST].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        while stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {}
    })
    .await;
    let report = run(Load::new(address).pipeline(8)).await;
    assert!(report.is_clean() && report.ok > 2, "{report}");
}
