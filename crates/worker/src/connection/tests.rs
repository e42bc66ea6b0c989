//! What happens at the end of the linger time.
//!
//! The test polls the connection by hand, and time stands still. So a request can arrive exactly between the
//! end of the linger time and the worker's next look at the connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::routing::get;
use client::Connection;
use tokio::net::TcpListener;

use super::*;
use crate::socket::Socket;

mod table;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const LINGER: Duration = Duration::from_secs(2);
/// If a client does not close when it is told to, the worker leaves after this much silence.
const SILENCE: Duration = Duration::from_secs(5);
const MANNERS: Manners = Manners { linger: LINGER, goodbye: LINGER };

fn connections(router: Router, drain: &Drain) -> Arc<Connections> {
    let room = Arc::new(Room::new(Slot::private(scoreboard::Instance::FIRST, ""), 1));
    Arc::new(Connections::new(router, drain.clone(), room, Limits::default(), MANNERS))
}

/// A connection that is polled only when the test does so.
struct Bench {
    serving: Pin<Box<dyn Future<Output = ()>>>,
    drain: Drain,
    client: Connection,
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let drain = Drain::default();
        let connections = connections(Router::new().route("/", get(|| async { "hello" })), &drain);
        Self {
            serving: Box::pin(connections.serve(Accepted { socket: Socket::Tcp(stream), peer: None })),
            drain,
            client,
        }
    }

    /// Polls the connection once. The client does not notice.
    async fn step(&mut self) {
        let step = poll_fn(|context| Poll::Ready(self.serving.as_mut().poll(context))).await;
        assert!(step.is_pending(), "the connection has ended");
    }

    /// The whole linger time passes, and the connection is not polled.
    async fn linger(&mut self) {
        self.drain.begin();
        self.step().await;
        tokio::time::advance(LINGER + LINGER / 4).await;
    }

    async fn answer(&mut self) -> client::Answer {
        tokio::select! {
            biased;
            answer = self.client.receive() => answer.unwrap(),
            () = &mut self.serving => panic!("the connection ended without an answer"),
        }
    }

    /// How long the connection lasts from now on if the client does not end it.
    async fn rest(self) -> Duration {
        let begin = tokio::time::Instant::now();
        self.serving.await;
        begin.elapsed()
    }

    async fn expect_last_answer(mut self) {
        let answer = self.answer().await;
        assert_eq!((answer.status, answer.closes(), &answer.body[..]), (200, true, &b"hello"[..]));
        let ((), finished) = tokio::join!(self.serving, self.client.finish());
        finished.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_between_the_decision_and_the_close_is_answered() {
    let mut bench = Bench::new().await;
    bench.client.send(GET).await.unwrap();
    assert!(!bench.answer().await.closes());
    bench.linger().await;
    bench.client.send(GET).await.unwrap();
    bench.expect_last_answer().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_request_between_the_decision_and_the_close_is_answered() {
    let mut bench = Bench::new().await;
    bench.step().await;
    bench.linger().await;
    bench.client.send(GET).await.unwrap();
    bench.expect_last_answer().await;
}

#[tokio::test(start_paused = true)]
async fn half_a_first_head_may_be_completed() {
    let mut bench = Bench::new().await;
    let (begin, end) = GET.split_at(10);
    bench.client.send(begin).await.unwrap();
    bench.linger().await;
    bench.step().await;
    bench.client.send(end).await.unwrap();
    bench.expect_last_answer().await;
}

#[tokio::test(start_paused = true)]
async fn half_a_head_behind_another_request_may_be_completed() {
    let mut bench = Bench::new().await;
    let (begin, end) = GET.split_at(10);
    bench.client.send(&[GET, begin].concat()).await.unwrap();
    assert!(!bench.answer().await.closes());
    bench.linger().await;
    bench.step().await;
    bench.client.send(end).await.unwrap();
    bench.expect_last_answer().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_with_the_linger_time() {
    let mut bench = Bench::new().await;
    bench.client.send(GET).await.unwrap();
    assert!(!bench.answer().await.closes());
    bench.linger().await;
    let ((), finished) = tokio::join!(bench.serving, bench.client.finish());
    finished.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_left_after_a_second() {
    let mut bench = Bench::new().await;
    bench.step().await;
    bench.linger().await;
    let begin = tokio::time::Instant::now();
    bench.serving.await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
}

/// The longest that an idle connection lingers, and the time for a half-closed one.
const LONGEST: Duration = Duration::from_millis(2500 + 1000);

#[tokio::test(start_paused = true)]
async fn half_a_head_holds_a_drain_half_a_second_longer() {
    let mut bench = Bench::new().await;
    bench.client.send(b"GET ").await.unwrap();
    bench.step().await;
    bench.drain.begin();
    assert!(bench.rest().await <= LONGEST + Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn so_does_half_a_head_behind_a_request() {
    let mut bench = Bench::new().await;
    bench.client.send(&[GET, b"GET / HT"].concat()).await.unwrap();
    assert!(!bench.answer().await.closes());
    bench.drain.begin();
    assert!(bench.rest().await <= LONGEST + Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn half_a_head_behind_a_request_ends_with_its_timers() {
    let mut bench = Bench::new().await;
    bench.client.send(&[GET, b"GET / HT"].concat()).await.unwrap();
    assert!(!bench.answer().await.closes());
    // It counted as idle until the worker noticed the half head.
    let limits = Limits::default();
    assert_eq!(bench.rest().await, limits.idle + limits.head + SILENCE);
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_is_no_request() {
    let mut bench = Bench::new().await;
    bench.client.send(&[GET, b"\r\n"].concat()).await.unwrap();
    assert!(!bench.answer().await.closes());
    assert_eq!(bench.rest().await, Limits::default().idle + SILENCE);
    let mut bench = Bench::new().await;
    bench.client.send(b"\r\n").await.unwrap();
    bench.step().await;
    assert!(bench.rest().await <= Limits::default().first_byte + SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_request_behind_an_empty_line_is_answered() {
    let mut bench = Bench::new().await;
    bench.client.send(&[b"\r\n", GET, b"\r\n"].concat()).await.unwrap();
    assert!(!bench.answer().await.closes());
    bench.linger().await;
    bench.step().await;
    let mut bench = Bench::new().await;
    bench.client.send(&[GET, b"\r\n"].concat()).await.unwrap();
    assert!(!bench.answer().await.closes());
    bench.client.send(GET).await.unwrap();
    assert!(!bench.answer().await.closes());
}

#[tokio::test(start_paused = true)]
async fn a_byte_at_the_very_end_of_the_patience_is_taken() {
    // HTTP/2 begins with the same byte.
    let (first, rest) = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n".split_at(1);
    let mut bench = Bench::new().await;
    bench.step().await;
    tokio::time::advance(Limits::default().first_byte).await;
    bench.client.send(first).await.unwrap();
    bench.step().await;
    bench.client.send(rest).await.unwrap();
    assert_eq!(bench.answer().await.status, 405);
}
