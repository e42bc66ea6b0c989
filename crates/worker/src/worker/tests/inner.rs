//! WebSockets over HTTP/2 (RFC 8441).

use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::http2::{connect, get, text};
use super::websockets::{echo, say};
use super::*;

type Send = hyper::client::conn::http2::SendRequest<http_body_util::Full<Bytes>>;
type Socket = WebSocketStream<TokioIo<Upgraded>>;

fn connect_request(path: &str) -> Request<http_body_util::Full<Bytes>> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri(format!("http://test{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(http_body_util::Full::default())
        .unwrap()
}

async fn open(send: &mut Send) -> Socket {
    send.ready().await.unwrap();
    let answer = soon(send.send_request(connect_request("/ws"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    let upgraded = hyper::upgrade::on(answer).await.unwrap();
    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
}

#[tokio::test]
async fn several_live_beside_requests_and_end_by_themselves() {
    let (router, mut last) = echo();
    let server = Running::start(worker(Duration::ZERO), router).await;
    let (mut send, _connection) = connect(&server).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(open(&mut send).await);
    }
    for socket in &mut sockets {
        say(socket, "hello").await;
        say(socket, &"long ".repeat(60_000)).await;
        assert_eq!(text(send.send_request(get("/")).await.unwrap()).await, "hello");
    }
    for mut socket in sockets {
        socket.close(None).await.unwrap();
        assert!(matches!(soon(last.recv()).await.unwrap(), Some(axum::extract::ws::Message::Close(_))));
        while let Some(Ok(message)) = soon(socket.next()).await {
            assert!(message.is_close(), "{message:?}");
        }
    }
    assert_eq!(text(send.send_request(get("/")).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn a_drain_says_close_1001_and_ends() {
    let (router, mut last) = echo();
    let server = Running::start(worker(Duration::ZERO), router).await;
    let (mut send, connection) = connect(&server).await;
    let mut socket = open(&mut send).await;
    say(&mut socket, "hello").await;
    let begun = std::time::Instant::now();
    let forced = server.stop();
    let goodbye = soon(socket.next()).await.unwrap().unwrap();
    let Message::Close(Some(goodbye)) = goodbye else { panic!("{goodbye:?}") };
    assert_eq!(goodbye.code, CloseCode::Away);
    assert!(soon(socket.next()).await.is_none(), "no message follows Close");
    assert!(matches!(soon(last.recv()).await.unwrap(), Some(axum::extract::ws::Message::Close(_))));
    drop((socket, send));
    soon(connection).await.unwrap().unwrap();
    assert_eq!(soon(forced).await.unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// The client neither answers Close nor reads.
#[tokio::test]
async fn a_client_that_does_not_listen_holds_no_drain() {
    let (router, _last) = echo();
    let server = Running::start(worker(Duration::ZERO).goodbye(Duration::from_millis(200)), router).await;
    let (mut send, _connection) = connect(&server).await;
    let mut socket = open(&mut send).await;
    say(&mut socket, "hello").await;
    socket.feed(Message::text("x".repeat(1 << 16))).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(soon(server.stop()).await.unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_no_websocket_is_answered_as_the_application_says() {
    let server = Running::start(worker(Duration::ZERO), hello()).await;
    let (mut send, _connection) = connect(&server).await;
    let answer = send.send_request(connect_request("/nowhere")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    send.ready().await.unwrap();
    let answer = send.send_request(connect_request("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "this path has no WebSocket");
    assert_eq!(text(send.send_request(get("/")).await.unwrap()).await, "hello");
}

/// The client sends Close and ends its half in one step. The application's Close still reaches it.
#[tokio::test]
async fn a_client_that_ends_its_half_hears_the_answer() {
    let handler = axum::routing::get(async |upgrade: axum::extract::WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.recv().await {})
    });
    let server = Running::start(worker(Duration::ZERO), Router::new().route("/ws", handler)).await;
    let (mut send, _connection) = connect(&server).await;
    send.ready().await.unwrap();
    let answer = send.send_request(connect_request("/ws")).await.unwrap();
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    soon(stream.read_to_end(&mut said)).await.unwrap();
    assert_eq!(said, [0x88, 0]);
}

/// Each WebSocket takes two descriptors, out of those for connections.
#[tokio::test]
async fn without_room_it_is_refused() {
    let (router, _last) = echo();
    let server = Running::start(worker(Duration::ZERO).max_connections(4), router).await;
    let (mut send, _connection) = connect(&server).await;
    let mut socket = open(&mut send).await;
    let answer = send.send_request(connect_request("/ws")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.slot.counters().refused, 1);
    say(&mut socket, "hello").await;
    socket.close(None).await.unwrap();
    while soon(socket.next()).await.is_some() {}
    soon(until_there_is_room(&mut send)).await;
}

/// The application has ended, and the client does not follow. One of the two descriptors is still open.
#[tokio::test]
async fn a_descriptor_keeps_its_place_as_long_as_it_is_open() {
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel();
    let handler = axum::routing::get(async move |upgrade: axum::extract::WebSocketUpgrade| {
        upgrade.on_upgrade(async move |socket| {
            drop(socket);
            ended.send(()).unwrap();
        })
    });
    let router = Router::new().route("/ws", handler);
    let server = Running::start(worker(Duration::ZERO).max_connections(3), router).await;
    let (mut send, _connection) = connect(&server).await;
    let socket = open(&mut send).await;
    soon(has_ended.recv()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = send.send_request(connect_request("/ws")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(socket);
    soon(until_there_is_room(&mut send)).await;
}

async fn until_there_is_room(send: &mut Send) {
    while send.send_request(connect_request("/ws")).await.unwrap().status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The application still writes something after Close.
#[tokio::test]
async fn a_drain_waits_for_the_application() {
    let (written, is_written) = tokio::sync::oneshot::channel();
    let written = std::sync::Arc::new(std::sync::Mutex::new(Some(written)));
    let handler = axum::routing::get(async move |upgrade: axum::extract::WebSocketUpgrade| {
        upgrade.on_upgrade(async move |mut socket| {
            while let Some(Ok(_)) = socket.recv().await {}
            tokio::time::sleep(Duration::from_millis(300)).await;
            let _ = written.lock().unwrap().take().unwrap().send(());
        })
    });
    let server = Running::start(worker(Duration::ZERO), Router::new().route("/ws", handler)).await;
    let (mut send, _connection) = connect(&server).await;
    let mut socket = open(&mut send).await;
    let forced = server.stop();
    while soon(socket.next()).await.is_some() {}
    drop((socket, send));
    assert_eq!(soon(forced).await.unwrap(), 0);
    is_written.await.expect("the worker waited for the application");
}

/// The client gives no window and answers PING. It has the same time as any client that does not read.
#[tokio::test]
async fn a_client_that_takes_nothing_holds_nothing_for_long() {
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel();
    let handler = axum::routing::get(async move |upgrade: axum::extract::WebSocketUpgrade| {
        upgrade.on_upgrade(async move |mut socket| {
            let flood = axum::extract::ws::Message::Binary(vec![0; 1 << 16].into());
            while socket.send(flood.clone()).await.is_ok() {}
            ended.send(()).unwrap();
        })
    });
    let patience = Duration::from_millis(300);
    let worker = worker(Duration::ZERO).write_timeout(patience);
    let server = Running::start(worker, Router::new().route("/ws", handler)).await;
    let (mut send, _connection) = connect(&server).await;
    let _socket = open(&mut send).await;
    soon(has_ended.recv()).await.expect("the application sees that the client takes nothing");
}

/// A WebSocket that is silent for longer than `idle_timeout` does not count as idle.
#[tokio::test]
async fn a_quiet_one_outlives_the_idle_timeout() {
    let (router, _last) = echo();
    let idle = Duration::from_millis(300);
    let server = Running::start(worker(Duration::ZERO).idle_timeout(idle), router).await;
    let (mut send, connection) = connect(&server).await;
    let mut socket = open(&mut send).await;
    say(&mut socket, "hello").await;
    tokio::time::sleep(5 * idle).await;
    say(&mut socket, "still there").await;
    drop(socket);
    soon(connection).await.unwrap().unwrap();
}
