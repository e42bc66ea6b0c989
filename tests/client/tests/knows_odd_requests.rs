//! Tests the client with HTTP/1.0, with a half-closed connection, and with a response before the end of the
//! body.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod server;

use std::net::SocketAddr;
use std::time::Duration;

use client::{Failure, Load, Report};
use server::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads up to the end of a head, including received bytes of the body. Returns `None` if the client has
/// closed.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return Some(String::from_utf8_lossy(&received[..end]).into_owned());
        }
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
}

/// A server that asserts what a request says, answers this, and continues while `keeps`.
async fn answers(says: &'static str, answer: &'static [u8], keeps: bool) -> SocketAddr {
    server(move |mut stream| async move {
        while let Some(head) = head(&mut stream).await {
            let answer =
                if head.contains(says) { answer } else { b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n" };
            stream.write_all(answer).await.unwrap();
            if !keeps {
                break;
            }
        }
    })
    .await
}

async fn run(load: Load) -> Report {
    load.requests(5).timeout(Duration::from_secs(5)).run_for(Duration::from_secs(30)).await
}

#[tokio::test]
async fn an_old_client_keeps_a_connection_only_when_it_is_told_to() {
    const SILENT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const KEPT: &[u8] = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
    const ASKED: &str = "HTTP/1.0\r\nHost: app-cluster\r\nConnection: keep-alive";
    let gap = Duration::from_millis(50);
    let load = async |answer, keeps| {
        run(Load::new(answers(ASKED, answer, keeps).await).http_10().gap(gap..=gap)).await
    };

    let report = load(SILENT, false).await;
    assert!(report.is_clean() && report.connections == 5, "{report}");
    let report = load(KEPT, true).await;
    assert!(report.is_clean() && report.connections == 1, "{report}");
    let report = load(KEPT, false).await;
    assert_eq!(report.count(Failure::ClosedUnannounced), 2, "{report}");
}

#[tokio::test]
async fn a_client_that_half_closes_waits_for_its_answer() {
    let patient = server(|mut stream| async move {
        let mut request = String::new();
        stream.read_to_string(&mut request).await.unwrap();
        assert!(request.starts_with("GET / HTTP/1.1\r\n") && !request.contains("close"), "{request}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    let report = run(Load::new(patient.await).half_closed()).await;
    assert!(report.is_clean() && report.connections == 5, "{report}");

    let hasty = server(|mut stream| async move {
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let report = run(Load::new(hasty.await).half_closed()).await;
    assert_eq!(report.count(Failure::EofBeforeAnswer), 5, "{report}");
}

const NOWHERE: &[u8] = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn an_answer_may_come_before_the_body_has() {
    let reads = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(NOWHERE).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let report = run(Load::new(reads.await).astray()).await;
    assert!(report.is_clean() && report.connections == 5, "{report}");
}

#[tokio::test]
async fn an_answer_that_a_reset_destroys_is_lost() {
    let resets = server(|mut stream| async move {
        head(&mut stream).await;
        stream.write_all(NOWHERE).await.unwrap();
        stream.set_zero_linger().unwrap();
    });
    let report = run(Load::new(resets.await).astray()).await;
    assert!(report.failed() > 0 && report.failed() == report.cut(), "{report}");
}
