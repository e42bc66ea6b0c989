//! Tests of the drain, with the races that lose requests in other servers.
//!
//! All tests run on one thread. What a test does between two awaits happens while the server does not run.
//! Bytes that it writes there lie in the kernel, and the server's event loop does not know of them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::get;
use client::{Connection, Failure};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use scoreboard::Slot;

use super::*;
use crate::bound;
use crate::listener::Listener;

mod event_streams;
mod http2;
mod http2_limits;
mod inner;
mod limits;
mod listeners;
mod odd_clients;
mod websockets;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// A worker on its own socket.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    forced: JoinHandle<usize>,
    slot: Slot,
}

impl Running {
    async fn start(worker: Worker, router: Router) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let slot = Slot::private(scoreboard::Instance::FIRST, "");
        let room = Arc::new(Room::new(slot.clone(), worker.max_connections));
        let acceptors = bound::acceptors(worker.accept, vec![Listener::Tcp(listener)], &room).unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        let forced = tokio::spawn(worker.run(acceptors, room, router, stopped));
        Self { address, stop, forced, slot }
    }

    async fn connect(&self) -> Connection {
        Connection::open(self.address).await.unwrap()
    }

    /// The drain begins now, and the server learns of it at the next await. Connections that it has not
    /// accepted are lost, because this listener has no other owner. If an exchange on a later connection
    /// succeeds, the server has accepted the earlier ones.
    fn stop(self) -> JoinHandle<usize> {
        self.stop.send(()).unwrap();
        self.forced
    }
}

/// A deadline that only a bug can exceed.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("within 30 s")
}

fn worker(linger: Duration) -> Worker {
    Worker::new().linger(linger).drain_timeout(Duration::from_secs(60))
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// One request on a connection that stays open.
async fn exchange(connection: &mut Connection) {
    connection.send(GET).await.unwrap();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (200, false));
}

async fn expect_last_answer(mut connection: Connection) {
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes(), &answer.body[..]), (200, true, &b"hello"[..]));
    soon(connection.finish()).await.unwrap();
}

#[tokio::test]
async fn a_request_that_crosses_the_begin_of_the_drain_is_answered() {
    let server = Running::start(worker(Duration::from_secs(60)), hello()).await;
    let mut connection = server.connect().await;
    exchange(&mut connection).await;
    connection.send(GET).await.unwrap();
    let forced = server.stop();
    expect_last_answer(connection).await;
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// The same with axum's own server: here the client sees the loss.
#[tokio::test]
async fn axum_alone_loses_a_request_that_crosses_the_begin_of_the_drain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap() };
    tokio::spawn(axum::serve(listener, hello()).with_graceful_shutdown(stopped).into_future());
    let mut connection = Connection::open(address).await.unwrap();
    exchange(&mut connection).await;
    connection.send(GET).await.unwrap();
    stop.send(()).unwrap();
    let lost = soon(connection.receive()).await.unwrap_err();
    assert!(matches!(lost, Failure::ResetBeforeAnswer | Failure::EofBeforeAnswer), "{lost}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_gently_after_the_linger_time() {
    let server = Running::start(worker(Duration::from_millis(20)), hello()).await;
    let mut used = server.connect().await;
    exchange(&mut used).await;
    let fresh = server.connect().await;
    exchange(&mut server.connect().await).await;
    let forced = server.stop();
    soon(used.finish()).await.unwrap();
    soon(fresh.finish()).await.unwrap();
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn an_answer_that_began_before_the_drain_is_finished_and_its_connection_lingers() {
    let (part, parts) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let parts = Arc::new(tokio::sync::Mutex::new(Some(parts)));
    let slow = get(move || async move {
        let parts = parts.lock().await.take().unwrap();
        Body::from_stream(stream::unfold(parts, |mut parts| async {
            let part = parts.recv().await?;
            Some((part, parts))
        }))
    });
    let linger = Duration::from_millis(200);
    let server = Running::start(worker(linger), hello().route("/slow", slow)).await;
    let mut connection = server.connect().await;
    connection.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    soon(part.send(Ok("one ".into()))).await.unwrap();
    // The channel has room for the second part, so the first one has been taken: the head is out, without a
    // close.
    soon(part.send(Ok("two".into()))).await.unwrap();
    let forced = server.stop();
    tokio::time::sleep(linger * 2).await;
    drop(part);
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((&answer.body[..], answer.closes()), (&b"one two"[..], false));
    connection.send(GET).await.unwrap();
    expect_last_answer(connection).await;
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_an_answer() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let large = get(|| async { vec![b'x'; LENGTH] });
    let server = Running::start(worker(Duration::ZERO), hello().route("/large", large)).await;
    let mut connection = server.connect().await;
    connection.send(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut other = server.connect().await;
    exchange(&mut other).await;
    let forced = server.stop();
    // By now the kernel's buffers are full, and most of the response is still in the worker.
    soon(other.finish()).await.unwrap();
    assert_eq!(soon(connection.receive()).await.unwrap().body.len(), LENGTH);
    drop(connection);
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// The worker has nothing left to send, but the kernel still has much of the response. Closing with unread
/// bytes would discard that.
#[tokio::test]
async fn what_a_client_sends_after_the_last_answer_does_not_destroy_it() {
    const LENGTH: usize = 16 * 1024 * 1024;
    let large = get(|| async { vec![b'x'; LENGTH] });
    let router = hello().route("/large", large);
    let server = Running::start(worker(Duration::from_secs(60)), router).await;
    let mut connection = server.connect().await;
    exchange(&mut connection).await;
    let forced = server.stop();
    let surplus = GET.repeat(5000);
    connection.send(&[b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n", &surplus[..]].concat()).await.unwrap();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.closes(), answer.body.len()), (true, LENGTH));
    soon(connection.finish()).await.unwrap();
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Running::start(worker(Duration::from_secs(60)), hello()).await;
    let mut connection = server.connect().await;
    connection.send(&GET.repeat(100)).await.unwrap();
    for _ in 0..100 {
        assert_eq!(soon(connection.receive()).await.unwrap().body, b"hello");
    }
}

#[tokio::test]
async fn the_deadline_closes_by_force_and_counts() {
    let stuck = get(|| async { std::future::pending::<()>().await });
    let worker = worker(Duration::ZERO).drain_timeout(Duration::from_millis(50));
    let server = Running::start(worker, hello().route("/stuck", stuck)).await;
    let mut busy = server.connect().await;
    busy.send(b"GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut idle = server.connect().await;
    exchange(&mut idle).await;
    assert_eq!(soon(server.stop()).await.unwrap(), 1);
    let lost = soon(busy.receive()).await.unwrap_err();
    assert!(matches!(lost, Failure::ResetBeforeAnswer | Failure::EofBeforeAnswer), "{lost}");
}

#[tokio::test]
async fn a_handler_that_panics_costs_one_request() {
    let bug = get(async || -> () { panic!("the test's own") });
    let server = Running::start(worker(Duration::ZERO), hello().route("/bug", bug)).await;
    let mut connection = server.connect().await;
    connection.send(b"GET /bug HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    assert_eq!(soon(connection.receive()).await.unwrap().status, 500);
    exchange(&mut connection).await;
}

#[tokio::test]
async fn handlers_are_told_of_the_drain() {
    let worker = worker(Duration::from_secs(60));
    let drain = worker.drain();
    let poll = get(|| async move { drain.begun().await });
    let server = Running::start(worker, hello().route("/poll", poll)).await;
    let mut connection = server.connect().await;
    connection.send(b"GET /poll HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    exchange(&mut server.connect().await).await;
    let forced = server.stop();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (200, true));
    drop(connection);
    assert_eq!(soon(forced).await.unwrap(), 0);
}
