//! A worker that runs out of descriptors loses no client: connections that it cannot accept wait.

use std::time::Duration;

use crate::process::{Socket, Worker, get, soon};

const REFUSED: &str = "no connection can be accepted";

/// Opens this many connections at once, with a request on each.
async fn request_all(socket: &Socket, connections: usize) -> Vec<client::Connection> {
    let mut all = Vec::new();
    for _ in 0..connections {
        let mut connection = socket.connect().await;
        connection.send(&get("/")).await.unwrap();
        all.push(connection);
    }
    all
}

/// Receives one response after the other and closes, which makes room for the next.
async fn expect_answers(all: Vec<client::Connection>) {
    for mut connection in all {
        assert_eq!(soon(connection.receive()).await.unwrap().status, 200);
    }
}

async fn logged(worker: &Worker, sentence: &str) {
    while !worker.stderr().contains(sentence) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_accepted_is_accepted_later() {
    let socket = Socket::listen();
    let worker = socket.worker(&[]).await;
    // Fewer than at its start, or it would not even try to accept.
    worker.limit_descriptors(24);
    let all = request_all(&socket, 40).await;
    soon(logged(&worker, REFUSED)).await;
    expect_answers(all).await;
}

#[tokio::test]
async fn some_descriptors_are_left_for_other_things() {
    // The kernel keeps ten notifications (net.unix.max_dgram_qlen). At an eleventh, unread one a blocking
    // send would wait.
    let socket = Socket::listen();
    let mut worker = socket.worker(&[("DESCRIPTORS", "256"), ("WATCHDOG_USEC", "1000000")]).await;
    let all = request_all(&socket, 300).await;
    worker.untold();
    worker.told("WATCHDOG=1").await;
    expect_answers(all).await;
    assert!(!worker.stderr().contains(REFUSED), "{}", worker.stderr());
}
