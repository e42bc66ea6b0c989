//! Tests the client with servers that lose requests in every possible way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod server;

use std::net::SocketAddr;
use std::time::Duration;

use client::{Failure, Load, Report};
use server::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Reads one request without a body. Returns `None` if the client has closed.
async fn request(stream: &mut TcpStream) -> Option<()> {
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// Makes the kernel send a reset instead of a normal close.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

async fn run(load: Load) -> Report {
    let limited = load.requests(5).run_for(Duration::from_secs(30)).await;
    assert_eq!(limited.ok + limited.failed(), 5, "{limited}");
    limited
}

/// Asserts that each of five requests is lost in this way.
async fn expect(address: SocketAddr, failure: Failure) {
    for load in [Load::new(address), Load::new(address).one_request()] {
        let report = run(load.timeout(Duration::from_millis(300))).await;
        assert_eq!(report.count(failure), 5, "{report}");
        assert_eq!(report.sent, if failure.is_connect() { 0 } else { 5 }, "{report}");
        assert!(!report.is_clean());
        assert_eq!(report.examples.len(), 5);
    }
}

/// A server that sends this for every request and closes.
async fn answers(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        request(&mut stream).await;
        stream.write_all(answer).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    expect(address, Failure::ConnectRefused).await;
}

#[tokio::test]
async fn the_queue_is_full() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // Connections that are not accepted fill the queue. The kernel then ignores the next ones.
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    expect(address, Failure::ConnectTimeout).await;
}

#[tokio::test]
async fn a_reset_before_the_answer() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        reset(stream);
    });
    expect(address.await, Failure::ResetBeforeAnswer).await;
}

#[tokio::test]
async fn a_reset_in_the_answer() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(&HELLO[..30]).await.unwrap();
        // A reset destroys what the client has not read, so the client gets time to read.
        tokio::time::sleep(Duration::from_millis(50)).await;
        reset(stream);
    });
    expect(address.await, Failure::ResetInAnswer).await;
}

#[tokio::test]
async fn a_close_without_an_answer() {
    expect(answers(b"").await, Failure::EofBeforeAnswer).await;
}

#[tokio::test]
async fn a_cut_answer() {
    expect(answers(&HELLO[..20]).await, Failure::Truncated).await;
    expect(answers(&HELLO[..HELLO.len() - 1]).await, Failure::Truncated).await;
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    expect(answers(chunked).await, Failure::Truncated).await;
}

#[tokio::test]
async fn another_status() {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    expect(answers(busy).await, Failure::Status(503)).await;
}

#[tokio::test]
async fn nonsense() {
    expect(answers(b"SSH-2.0-OpenSSH\r\n").await, Failure::Malformed).await;
    // The client cannot know whether this is the whole body.
    expect(answers(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello").await, Failure::Malformed).await;
}

#[tokio::test]
async fn more_than_one_answer() {
    let address = server(|mut stream| async move {
        while request(&mut stream).await.is_some() {
            stream.write_all(&HELLO.repeat(2)).await.unwrap();
        }
    });
    let report = run(Load::new(address.await)).await;
    assert!(report.count(Failure::Malformed) > 0, "{report}");
}

#[tokio::test]
async fn no_answer_at_all() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        std::future::pending().await
    });
    expect(address.await, Failure::Timeout).await;
}

#[tokio::test]
async fn an_echo_of_something_else() {
    let address = server(|mut stream| async move {
        let mut buffer = [0; 64 * 1024];
        while let Ok(1..) = stream.read(&mut buffer).await {
            if stream.write_all(HELLO).await.is_err() {
                break;
            }
        }
    });
    let report = run(Load::new(address.await).echo()).await;
    assert_eq!(report.count(Failure::WrongBody), 5, "{report}");
}

#[tokio::test]
async fn a_close_that_was_not_announced() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(HELLO).await.unwrap();
    });
    let gap = Duration::from_millis(100);
    let report = run(Load::new(address.await).gap(gap..=gap)).await;
    assert_eq!((report.ok, report.count(Failure::ClosedUnannounced)), (3, 2), "{report}");
    assert_eq!((report.sent, report.connections), (3, 3), "{report}");
}

#[tokio::test]
async fn a_new_connection_is_not_idle() {
    let address = server(|stream| async move { drop(stream) });
    let report = run(Load::new(address.await)).await;
    // Whether the request leaves before the client sees the close depends on which is faster.
    assert_eq!(report.failed(), 5, "{report}");
    assert_eq!(report.count(Failure::ClosedUnannounced), 0, "{report}");
}

#[tokio::test]
async fn an_answer_that_says_close_is_followed_by_a_new_connection() {
    let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let report = run(Load::new(answers(closing).await)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.connections, 5, "{report}");
}

#[tokio::test]
async fn who_answers_is_counted_apart() {
    let address = server(|mut stream| async move {
        for pid in [10, 11].into_iter().cycle() {
            if request(&mut stream).await.is_none() {
                break;
            }
            let body = format!(r#"{{"instance":3,"pid":{pid},"version":"1.0.0","release":"r1"}}"#);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let report = run(Load::new(address.await)).await;
    let answers: Vec<_> = report.answers.iter().map(|by| (by.instance, by.pid, by.count)).collect();
    assert_eq!(answers, [(Some(3), 10, 3), (Some(3), 11, 2)]);
}

#[tokio::test]
async fn a_stopped_load_still_waits_for_its_answers() {
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        stream.write_all(HELLO).await.unwrap();
    });
    let running = Load::new(address.await).connections(10).start();
    while running.report().connections < 10 {
        tokio::task::yield_now().await;
    }
    let report = running.stop().await;
    assert_eq!((report.sent, report.ok), (10, 10), "{report}");
}

#[tokio::test]
async fn a_report_can_be_read_back() {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let report = run(Load::new(answers(busy).await)).await;
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains(r#""failures":{"status-503":5}"#), "{json}");
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[tokio::test]
async fn at_a_fixed_rate_latency_counts_from_when_a_request_was_due() {
    // The first request keeps the connection busy while the others become due.
    let address = server(|mut stream| async move {
        request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        stream.write_all(HELLO).await.unwrap();
        while request(&mut stream).await.is_some() {
            stream.write_all(HELLO).await.unwrap();
        }
    });
    let report = run(Load::new(address.await).rate(50.0)).await;
    assert!(report.is_clean(), "{report}");
    // Due after 0, 20, 40, 60 and 80 ms, and none was answered before 400 ms.
    assert!(report.latency.p50_us >= 350_000, "{report}");
}

#[tokio::test]
async fn held_connections_are_all_open_at_once() {
    let (opened, mut open) = tokio::sync::watch::channel(0);
    let address = server(move |mut stream| {
        let opened = opened.clone();
        async move {
            request(&mut stream).await;
            stream.write_all(HELLO).await.unwrap();
            opened.send_modify(|open| *open += 1);
            // If the client closed before the others were answered, this would show it.
            if request(&mut stream).await.is_none() {
                opened.send_modify(|open| *open -= 1);
            }
        }
    });
    let all = async {
        open.wait_for(|open| *open == 20).await.unwrap();
    };
    let load = Load::new(address.await).connections(20).rate(200.0).hold();
    let (report, ()) = tokio::join!(load.run_for(Duration::from_secs(30)), all);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.sent, report.connections), (20, 20), "{report}");
}

#[tokio::test]
async fn who_holds_a_lost_request_does_not_wait_for_ever() {
    let report = Load::new(answers(b"").await).connections(3).hold().run_for(Duration::from_secs(30)).await;
    assert_eq!(report.count(Failure::EofBeforeAnswer), 3, "{report}");
    let stopped = Load::new(answers(HELLO).await).connections(3).requests(2).hold();
    assert_eq!(stopped.run_for(Duration::from_secs(30)).await.ok, 2);
}
