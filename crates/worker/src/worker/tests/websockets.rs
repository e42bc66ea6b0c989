//! In a drain, the worker sends Close on WebSockets and waits for the answer.

use axum::extract::WebSocketUpgrade;
use axum::extract::ws;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

/// A router with an echo at `/ws`, and the last message that the application reads there.
pub(super) fn echo() -> (Router, mpsc::UnboundedReceiver<Option<ws::Message>>) {
    let (last, lasts) = mpsc::unbounded_channel();
    let handler = get(move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |mut socket| async move {
            loop {
                match socket.next().await {
                    Some(Ok(message @ ws::Message::Text(_))) => socket.send(message).await.unwrap(),
                    Some(Ok(other)) => break last.send(Some(other)).unwrap(),
                    Some(Err(_)) | None => break last.send(None).unwrap(),
                }
            }
        })
    });
    (hello().route("/ws", handler), lasts)
}

async fn open(server: &Running) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (socket, _) = client_async("ws://test/ws", stream).await.unwrap();
    socket
}

pub(super) async fn say(socket: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>, text: &str) {
    socket.send(text.into()).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(text));
}

#[tokio::test]
async fn the_peer_reads_close_1001_and_the_application_reads_its_answer() {
    let (router, mut last) = echo();
    let server = Running::start(worker(Duration::ZERO), router).await;
    let mut socket = open(&server).await;
    say(&mut socket, "hello").await;
    say(&mut socket, &"long ".repeat(30_000)).await;
    let forced = server.stop();
    let goodbye = soon(socket.next()).await.unwrap().unwrap();
    let Message::Close(Some(goodbye)) = goodbye else { panic!("{goodbye:?}") };
    assert_eq!(goodbye.code, CloseCode::Away);
    assert!(soon(socket.next()).await.is_none(), "no message follows Close");
    assert!(matches!(soon(last.recv()).await.unwrap(), Some(ws::Message::Close(_))));
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_has_its_moment() {
    let (router, mut last) = echo();
    let server = Running::start(worker(Duration::ZERO).goodbye(Duration::from_millis(100)), router).await;
    let mut socket = open(&server).await;
    say(&mut socket, "hello").await;
    let forced = server.stop();
    assert!(soon(last.recv()).await.unwrap().is_none(), "the application reads the end of the stream");
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn one_that_opens_while_the_worker_drains_is_said_goodbye_to_at_once() {
    let (router, _last) = echo();
    let server = Running::start(worker(Duration::from_secs(60)), router).await;
    let mut connection = server.connect().await;
    exchange(&mut connection).await;
    let address = server.address;
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(&mut server.connect().await).await;
    let forced = server.stop();
    let (mut socket, _) = client_async("ws://test/ws", stream).await.unwrap();
    assert!(matches!(soon(socket.next()).await.unwrap().unwrap(), Message::Close(Some(_))));
    while soon(socket.next()).await.is_some() {}
    drop(connection);
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// The application sends its own Close, and the worker does not add another.
#[tokio::test]
async fn an_application_may_say_goodbye_itself() {
    let worker = worker(Duration::ZERO);
    let drain = worker.drain();
    let handler = get(move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |mut socket| async move {
            socket.send("ready".into()).await.unwrap();
            // The application does not read meanwhile, so only it can send.
            drain.begun().await;
            let frame = ws::CloseFrame { code: 4000, reason: "moving".into() };
            socket.send(ws::Message::Close(Some(frame))).await.unwrap();
            while socket.next().await.is_some_and(|message| message.is_ok()) {}
        })
    });
    let server = Running::start(worker, hello().route("/ws", handler)).await;
    let mut socket = open(&server).await;
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text("ready"));
    let forced = server.stop();
    let goodbye = soon(socket.next()).await.unwrap().unwrap();
    let Message::Close(Some(goodbye)) = goodbye else { panic!("{goodbye:?}") };
    assert_eq!((u16::from(goodbye.code), goodbye.reason.as_str()), (4000, "moving"));
    assert!(soon(socket.next()).await.is_none());
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// An application may be doing any of these when the worker drains. In each case its peer gets Close, and the
/// drain does not wait for it.
#[tokio::test]
async fn whatever_the_application_does_the_peer_reads_close() {
    /// Sends without a pause until it fails.
    async fn only_sends(mut socket: ws::WebSocket) {
        while socket.send("again".into()).await.is_ok() {}
    }
    /// Never uses its socket.
    async fn only_waits(socket: ws::WebSocket) {
        std::future::pending::<()>().await;
        drop(socket);
    }
    /// Uses a task for each half.
    async fn is_split(socket: ws::WebSocket) {
        let (mut sends, mut reads) = socket.split();
        let writer = tokio::spawn(async move {
            std::future::pending::<()>().await;
            sends.close().await.unwrap();
        });
        while reads.next().await.is_some() {}
        std::future::pending::<()>().await;
        drop(writer);
    }
    let router = hello()
        .route("/sends", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(only_sends)))
        .route("/waits", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(only_waits)))
        .route("/split", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(is_split)));
    for path in ["sends", "waits", "split"] {
        let server = Running::start(worker(Duration::ZERO), router.clone()).await;
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut socket, _) = client_async(format!("ws://test/{path}"), stream).await.unwrap();
        let forced = server.stop();
        let goodbye = soon(async {
            loop {
                match socket.next().await.unwrap().unwrap() {
                    Message::Text(_) => {}
                    other => break other,
                }
            }
        });
        let Message::Close(Some(goodbye)) = goodbye.await else { panic!("{path}: no Close") };
        assert_eq!(goodbye.code, CloseCode::Away, "{path}");
        assert!(soon(socket.next()).await.is_none(), "{path}: nothing follows");
        let begin = std::time::Instant::now();
        drop(socket);
        assert_eq!(soon(forced).await.unwrap(), 0, "{path}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{path}: {:?}", begin.elapsed());
    }
}

/// A peer that neither reads nor answers.
#[tokio::test]
async fn a_peer_that_is_stuck_holds_a_drain_for_its_moment_only() {
    let sends =
        get(async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket| {
                while socket.send(ws::Message::Binary(vec![0; 100_000].into())).await.is_ok() {}
            })
        });
    let goodbye = Duration::from_millis(200);
    let server = Running::start(worker(Duration::ZERO).goodbye(goodbye), hello().route("/ws", sends)).await;
    let socket = open(&server).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(soon(server.stop()).await.unwrap(), 0);
    drop(socket);
}
