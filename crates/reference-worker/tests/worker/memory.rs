//! A worker does not stay as large as it was when it had the most clients.

use std::time::Duration;

use crate::process::{Socket, Worker, soon};

async fn until_resident(worker: &Worker, is_right: impl Fn(u64) -> bool) {
    let wait = async {
        while !is_right(worker.resident_kib()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(wait).await;
}

#[tokio::test]
async fn what_a_crowd_had_is_given_back() {
    let socket = Socket::listen();
    let worker = socket.worker(&[]).await;
    let before = worker.resident_kib();

    let mut crowd = Vec::new();
    for _ in 0..500 {
        let mut connection = socket.connect().await;
        connection.send(b"GET / HTTP/1.1\r\n").await.unwrap();
        crowd.push(connection);
    }
    until_resident(&worker, |kib| kib > before + 5 * 1024).await;

    drop(crowd);
    until_resident(&worker, |kib| kib < before + 2 * 1024).await;
}
