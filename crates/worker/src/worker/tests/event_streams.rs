//! Streams of server-sent events end after an event, without an error.

use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use tokio::sync::mpsc;

use super::*;

/// The events that are sent to the channel.
fn events(
    mut source: mpsc::UnboundedReceiver<&'static str>,
) -> impl Stream<Item = Result<Event, std::convert::Infallible>> {
    stream::poll_fn(move |context| {
        source.poll_recv(context).map(|next| next.map(|data| Ok(Event::default().data(data))))
    })
}

fn router(source: mpsc::UnboundedReceiver<&'static str>) -> Router {
    let source = Arc::new(std::sync::Mutex::new(Some(source)));
    let handler = get(move || async move { Sse::new(events(source.lock().unwrap().take().unwrap())) });
    hello().route("/events", handler)
}

const EVENTS: &[u8] = b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test]
async fn they_end_after_an_event_when_the_worker_drains() {
    let (send, source) = mpsc::unbounded_channel();
    let server = Running::start(worker(Duration::from_secs(60)), router(source)).await;
    let mut connection = server.connect().await;
    send.send("one").unwrap();
    connection.send(EVENTS).await.unwrap();
    exchange(&mut server.connect().await).await;
    send.send("two").unwrap();
    let forced = server.stop();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"data: one\n\ndata: two\n\n"[..]));
    // The next stream on this connection is the last.
    connection.send(GET).await.unwrap();
    expect_last_answer(connection).await;
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// The client would discard half an event.
#[tokio::test]
async fn they_do_not_end_in_the_middle_of_an_event() {
    let (part, mut parts) = mpsc::unbounded_channel::<&'static str>();
    let body = stream::poll_fn(move |context| {
        parts.poll_recv(context).map(|part| part.map(|part| Ok::<_, std::io::Error>(Bytes::from(part))))
    });
    let body = Arc::new(std::sync::Mutex::new(Some(Body::from_stream(body))));
    let handler = get(move || async move {
        ([("content-type", "text/event-stream; charset=utf-8")], body.lock().unwrap().take().unwrap())
    });
    let server = Running::start(worker(Duration::ZERO), hello().route("/events", handler)).await;
    let mut connection = server.connect().await;
    part.send("data: be").unwrap();
    connection.send(EVENTS).await.unwrap();
    exchange(&mut server.connect().await).await;
    let forced = server.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    part.send("gun\n").unwrap();
    part.send("\n").unwrap();
    assert_eq!(soon(connection.receive()).await.unwrap().body, b"data: begun\n\n");
    drop(connection);
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// One stream always has a next event, and the other is compressed.
#[tokio::test]
async fn they_end_whatever_they_are_like() {
    let always = get(|| async {
        let events = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from("data: again\n\n")));
        ([("content-type", "text/event-stream")], Body::from_stream(events))
    });
    let compressed = get(|| async {
        let piece = stream::once(async { Ok::<_, std::io::Error>(Bytes::from("no end of an event")) });
        let headers = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
        (headers, Body::from_stream(futures_util::StreamExt::chain(piece, stream::pending())))
    });
    let router = hello().route("/always", always).route("/compressed", compressed);
    let server = Running::start(worker(Duration::ZERO), router).await;
    let mut always = server.connect().await;
    always.send(b"GET /always HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut compressed = server.connect().await;
    compressed.send(b"GET /compressed HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    exchange(&mut server.connect().await).await;
    let forced = server.stop();
    assert!(soon(always.receive()).await.unwrap().body.ends_with(b"data: again\n\n"));
    assert_eq!(soon(compressed.receive()).await.unwrap().body, b"no end of an event");
    drop((always, compressed));
    assert_eq!(soon(forced).await.unwrap(), 0);
}
