//! SIGTERM.

use std::time::{Duration, Instant};

use client::{Connection, Failure, Load};
use rustix::process::Signal;

use crate::process::{Socket, exchange, get, soon};

/// Longer than any test, so this does not end a connection.
const LONG: (&str, &str) = ("APP_CLUSTER_LINGER", "25s");

async fn expect_last_answer(mut connection: Connection) {
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (200, true));
    soon(connection.finish()).await.unwrap();
}

/// Replaces two workers again and again under this load. No request may be lost.
async fn expect_no_loss(load: impl Fn(Load) -> Load) {
    let socket = Socket::listen();
    let mut workers = [socket.worker(&[]).await, socket.worker(&[]).await];
    let load = load(Load::new(socket.address).connections(16)).start();
    for turn in 0..6 {
        let answered = load.report().ok;
        soon(async {
            while load.report().ok < answered + 100 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        workers[turn % 2].terminate();
        workers[turn % 2].ended_well().await;
        workers[turn % 2] = socket.worker(&[]).await;
    }
    let report = soon(load.stop()).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn nothing_is_lost_with_keep_alive() {
    expect_no_loss(|load| load).await;
}

#[tokio::test]
async fn nothing_is_lost_with_pauses() {
    expect_no_loss(|load| load.gap(Duration::ZERO..=Duration::from_millis(20))).await;
}

#[tokio::test]
async fn nothing_is_lost_with_one_request_per_connection() {
    expect_no_loss(|load| load.one_request()).await;
}

#[tokio::test]
async fn nothing_is_lost_with_bodies() {
    expect_no_loss(|load| load.echo()).await;
}

#[tokio::test]
async fn an_idle_connection_gets_its_next_request_answered() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[LONG]).await;
    let mut connection = socket.connect().await;
    assert!(!exchange(&mut connection, &get("/healthz")).await.closes());
    worker.drain().await;
    let answer = exchange(&mut connection, &get("/healthz")).await;
    // The address belongs to the cluster, not to this worker, and is healthy.
    assert_eq!((answer.status, answer.closes()), (200, true));
    soon(connection.finish()).await.unwrap();
    worker.ended_well().await;
}

#[tokio::test]
async fn a_connection_that_has_said_nothing_yet_may_speak() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[LONG]).await;
    let mut silent = socket.connect().await;
    // The worker answers a later connection, so it has accepted the silent one.
    exchange(&mut socket.connect().await, &get("/")).await;
    worker.drain().await;
    silent.send(&get("/")).await.unwrap();
    expect_last_answer(silent).await;
    worker.ended_well().await;
}

#[tokio::test]
async fn a_slow_request_finishes() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[("APP_CLUSTER_LINGER", "0s")]).await;
    let mut connection = socket.connect().await;
    connection.send(&get("/sleep?ms=1500")).await.unwrap();
    exchange(&mut socket.connect().await, &get("/")).await;
    worker.drain().await;
    let status = worker.told("STATUS=draining, 1 connection").await;
    assert!(status.contains("EXTEND_TIMEOUT_USEC=5000000"), "{status}");
    expect_last_answer(connection).await;
    worker.ended_well().await;
    let rest = worker.untold();
    assert!(rest.contains("STATUS=drained in "), "{rest}");
    assert!(!rest.contains("STOPPING=1"), "{rest}");
}

#[tokio::test]
async fn what_is_idle_is_closed_after_the_linger_time() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[("APP_CLUSTER_LINGER", "300ms")]).await;
    let mut connection = socket.connect().await;
    exchange(&mut connection, &get("/")).await;
    let begin = Instant::now();
    worker.terminate();
    soon(connection.finish()).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(300));
    worker.ended_well().await;
}

#[tokio::test]
async fn it_ends_at_once_when_no_connection_is_left() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[LONG]).await;
    let mut connection = socket.connect().await;
    exchange(&mut connection, &get("/")).await;
    let begin = Instant::now();
    worker.drain().await;
    drop(connection);
    worker.ended_well().await;
    assert!(begin.elapsed() < Duration::from_secs(20), "the drain waited for the linger time");
}

#[tokio::test]
async fn the_deadline_cuts_counts_and_is_no_failure() {
    let socket = Socket::listen();
    let settings = [("APP_CLUSTER_LINGER", "100ms"), ("APP_CLUSTER_DRAIN", "300ms")];
    let mut worker = socket.worker(&settings).await;
    let mut connection = socket.connect().await;
    connection.send(&get("/sleep?ms=60000&secret=1")).await.unwrap();
    exchange(&mut socket.connect().await, &get("/")).await;
    worker.terminate();
    let lost = soon(connection.receive()).await.unwrap_err();
    assert!(matches!(lost, Failure::ResetBeforeAnswer | Failure::EofBeforeAnswer), "{lost}");
    worker.ended_well().await;
    let log = worker.stderr();
    assert!(log.contains("method=GET path=\"/sleep\""), "{log}");
    assert!(log.contains("closed 1 connection by force"), "{log}");
    assert!(!log.contains("secret"), "a query may contain secrets: {log}");
}

#[tokio::test]
async fn pipelined_requests_end_with_the_answer_that_says_close() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[LONG]).await;
    let mut connection = socket.connect().await;
    connection.send(&get("/").repeat(50)).await.unwrap();
    for _ in 0..50 {
        assert!(!soon(connection.receive()).await.unwrap().closes());
    }
    worker.drain().await;
    connection.send(&get("/").repeat(50)).await.unwrap();
    // The bytes after it are not answered, and do not destroy it by a reset.
    expect_last_answer(connection).await;
    worker.ended_well().await;
}

#[tokio::test]
async fn sighup_cuts_nothing() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[]).await;
    let mut connection = socket.connect().await;
    connection.send(&get("/sleep?ms=300")).await.unwrap();
    exchange(&mut socket.connect().await, &get("/")).await;
    worker.signal(Signal::HUP);
    assert_eq!(soon(connection.receive()).await.unwrap().status, 200);
    worker.terminate();
    worker.ended_well().await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_it_at_once() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[LONG]).await;
    let mut connection = socket.connect().await;
    connection.send(&get("/sleep?ms=60000")).await.unwrap();
    exchange(&mut socket.connect().await, &get("/")).await;
    worker.signal(Signal::INT);
    worker.told("STATUS=draining").await;
    worker.signal(Signal::INT);
    worker.ended_well().await;
    assert!(worker.stderr().contains("closed 1 connection by force"), "{}", worker.stderr());
}

#[tokio::test]
async fn who_is_idle_at_the_deadline_has_lost_nothing() {
    let socket = Socket::listen();
    let settings = [("APP_CLUSTER_LINGER", "300ms"), ("APP_CLUSTER_DRAIN", "300ms")];
    let mut worker = socket.worker(&settings).await;
    let mut connection = socket.connect().await;
    exchange(&mut connection, &get("/")).await;
    worker.terminate();
    worker.ended_well().await;
    assert!(!worker.stderr().contains("by force"), "{}", worker.stderr());
}
