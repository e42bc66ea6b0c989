//! systemd is stopped or busy, and reads no messages.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::process::{Socket, exchange, fill, get};

/// The watchdog is fed every half of this time.
const WATCHDOG: (&str, &str) = ("WATCHDOG_USEC", "100000");

#[tokio::test]
async fn it_serves_while_systemd_does_not_read() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[WATCHDOG]).await;
    worker.fill_notifications();
    let mut connection = socket.connect().await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(exchange(&mut connection, &get("/")).await.status, 200);
    }
    drop(connection);
    worker.terminate();
    worker.ended_well().await;
}

#[tokio::test]
async fn it_says_that_it_is_ready_when_systemd_reads_again() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("full");
    let notify = UnixDatagram::bind(&path).unwrap();
    fill(&path);
    let socket = Socket::listen();
    let _worker = socket.start(&[("NOTIFY_SOCKET", path.to_str().unwrap()), WATCHDOG]);
    assert_eq!(exchange(&mut socket.connect().await, &get("/")).await.status, 200);
    let told = tokio::task::spawn_blocking(move || {
        notify.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut buffer = [0; 4096];
        loop {
            let length = notify.recv(&mut buffer).unwrap();
            let told = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if told.starts_with("READY=1\n") {
                break told;
            }
        }
    });
    assert!(told.await.unwrap().contains("STATUS=accepting connections on"));
}
