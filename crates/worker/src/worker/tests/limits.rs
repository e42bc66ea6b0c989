//! The limits for a client.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const SHORT: Duration = Duration::from_millis(50);

/// A head with this many bytes.
fn head(length: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: test\r\nX-Long: ".to_vec();
    head.resize(length - 4, b'x');
    head.extend(b"\r\n\r\n");
    head
}

fn echo() -> Router {
    hello().route("/echo", axum::routing::post(|body: Bytes| async { body }))
}

/// The status of the response to this request, on a new connection.
async fn status(server: &Running, request: &[u8]) -> u16 {
    let mut connection = server.connect().await;
    connection.send(request).await.unwrap();
    soon(connection.receive()).await.unwrap().status
}

#[tokio::test]
async fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
    let server = Running::start(worker(Duration::ZERO), hello()).await;
    let largest = 64 * 1024;
    assert_eq!(status(&server, &head(largest)).await, 200);
    for length in [largest + 1, 100_000, 1_000_000] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server does not read it to its end.
        let _ = stream.write_all(&head(length)).await;
        let mut answer = [0; 12];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431", "{length} bytes");
    }
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let server = Running::start(worker(Duration::ZERO).max_body(10), echo()).await;
    let post = |rest: &str| format!("POST /echo HTTP/1.1\r\nHost: test\r\n{rest}").into_bytes();
    assert_eq!(status(&server, &post("Content-Length: 10\r\n\r\n0123456789")).await, 200);
    assert_eq!(status(&server, &post("Content-Length: 11\r\n\r\n0123456789x")).await, 413);
    let chunked = |chunks: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"));
    assert_eq!(status(&server, &chunked("5\r\n01234\r\n5\r\n56789\r\n")).await, 200);
    assert_eq!(status(&server, &chunked("5\r\n01234\r\n6\r\n56789x\r\n")).await, 413);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_with_408() {
    let server = Running::start(worker(Duration::ZERO).body_timeout(SHORT), echo()).await;
    let mut connection = server.connect().await;
    connection.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n01234").await.unwrap();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (408, true));
    soon(connection.finish()).await.unwrap();
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let server = Running::start(worker(Duration::ZERO).first_byte_timeout(SHORT), hello()).await;
    soon(server.connect().await.finish()).await.unwrap();
}

#[tokio::test]
async fn who_does_not_end_a_head_is_closed() {
    let server = Running::start(worker(Duration::ZERO).head_timeout(SHORT), hello()).await;
    let mut first = server.connect().await;
    first.send(b"GET / HT").await.unwrap();
    soon(first.finish()).await.unwrap();
    let mut second = server.connect().await;
    exchange(&mut second).await;
    second.send(b"GET / HT").await.unwrap();
    soon(second.finish()).await.unwrap();
}

#[tokio::test]
async fn who_has_no_further_request_is_closed() {
    let server = Running::start(worker(Duration::ZERO).idle_timeout(SHORT), hello()).await;
    let mut connection = server.connect().await;
    exchange(&mut connection).await;
    soon(connection.finish()).await.unwrap();
}

#[tokio::test]
async fn who_does_not_read_is_closed() {
    let large = get(|| async { vec![b'x'; 16 * 1024 * 1024] });
    let worker = worker(Duration::ZERO).write_timeout(SHORT);
    let server = Running::start(worker, hello().route("/large", large)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let forced = server.stop();
    assert_eq!(soon(forced).await.unwrap(), 0, "the connection ended before the drain deadline");
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.len() < 16 * 1024 * 1024);
}

#[tokio::test]
async fn no_more_are_served_at_once_than_the_limit() {
    let server = Running::start(worker(Duration::ZERO).max_connections(1), hello()).await;
    let mut first = server.connect().await;
    exchange(&mut first).await;
    let mut second = server.connect().await;
    second.send(GET).await.unwrap();
    assert!(
        tokio::time::timeout(SHORT, second.receive()).await.is_err(),
        "the second connection waits in the accept queue"
    );
    drop(first);
    assert_eq!(soon(second.receive()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_background_task_is_waited_for() {
    let worker = worker(Duration::ZERO);
    let drain = worker.drain();
    let hold = drain.hold();
    let server = Running::start(worker, hello()).await;
    let forced = server.stop();
    let is_over = tokio::spawn(async move {
        drain.begun().await;
        tokio::time::sleep(SHORT).await;
        drop(hold);
        tokio::time::Instant::now()
    });
    assert_eq!(soon(forced).await.unwrap(), 0);
    assert!(is_over.is_finished());
}

#[tokio::test]
async fn no_time_is_too_long() {
    let worker = Worker::new().linger(Duration::MAX).drain_timeout(Duration::MAX).goodbye(Duration::MAX);
    let worker = worker.first_byte_timeout(Duration::MAX).head_timeout(Duration::MAX);
    let worker = worker.idle_timeout(Duration::MAX).body_timeout(Duration::MAX).write_timeout(Duration::MAX);
    let server = Running::start(worker, echo()).await;
    let mut connection = server.connect().await;
    connection.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    connection.send(b"hello").await.unwrap();
    assert_eq!(soon(connection.receive()).await.unwrap().status, 200);
    let forced = server.stop();
    connection.send(GET).await.unwrap();
    expect_last_answer(connection).await;
    assert_eq!(soon(forced).await.unwrap(), 0);
}
