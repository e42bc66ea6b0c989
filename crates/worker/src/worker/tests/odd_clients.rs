//! Clients that do something allowed but rare.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const SHORT: Duration = Duration::from_millis(50);

/// `/` answers at once, `/slow` after a moment, `/echo` with the body, `/deaf` without reading the body, and
/// `/never` not at all. The sender is dropped with the handler of `/never`.
fn router() -> (Router, tokio::sync::mpsc::Receiver<()>) {
    let (gone, is_gone) = tokio::sync::mpsc::channel(1);
    let slow = get(|| async {
        tokio::time::sleep(SHORT).await;
        "slow"
    });
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let never = get(move || async move {
        let _gone = gone.lock().unwrap().take();
        std::future::pending::<()>().await;
    });
    let echo = axum::routing::post(|body: Bytes| async {
        tokio::time::sleep(SHORT).await;
        body
    });
    let late = axum::routing::post(|body: Body| async {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        body
    });
    let deaf = axum::routing::post(|| async { "deaf" });
    let router = hello()
        .route("/slow", slow)
        .route("/never", never)
        .route("/echo", echo)
        .route("/late", late)
        .route("/deaf", deaf);
    (router, is_gone)
}

/// Sends this request, ends its half, and receives until the server ends its own.
async fn half_close(server: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    // The end of the half has arrived before the server looks for the first time.
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn who_ends_its_half_is_answered() {
    let server = Running::start(worker(Duration::ZERO), router().0).await;
    for _ in 0..20 {
        assert!(half_close(&server, GET).await.ends_with("hello"));
    }
    assert!(half_close(&server, b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").await.ends_with("slow"));
    let upload = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
    assert!(half_close(&server, upload).await.ends_with("body"));
    let upload = b"POST /late HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
    assert!(half_close(&server, upload).await.contains("body"));
    let pipelined = half_close(&server, &GET.repeat(3)).await;
    assert_eq!(pipelined.matches("hello").count(), 3, "{pipelined}");
}

#[tokio::test]
async fn who_ends_its_half_too_early_is_told() {
    let server = Running::start(worker(Duration::ZERO), router().0).await;
    let broken = half_close(&server, b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nbody");
    assert!(broken.await.starts_with("HTTP/1.1 400"));
}

/// The server cannot know where the next request would begin.
#[tokio::test]
async fn a_body_that_is_none_is_answered_with_the_last_answer() {
    let server = Running::start(worker(Duration::ZERO), router().0).await;
    let mut connection = server.connect().await;
    let head = b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(&[&head[..], b"no chunk\r\n"].concat()).await.unwrap();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (400, true));
    soon(connection.finish()).await.unwrap();
}

#[tokio::test]
async fn a_coding_that_hyper_leaves_on_is_refused() {
    let server = Running::start(worker(Duration::ZERO), router().0).await;
    for codings in ["gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked"] {
        let mut connection = server.connect().await;
        let head = format!("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: {codings}\r\n\r\n");
        connection.send(&[head.as_bytes(), b"0\r\n\r\n"].concat()).await.unwrap();
        assert_eq!(soon(connection.receive()).await.unwrap().status, 501, "{codings}");
    }
}

/// The client may also be gone: the kernel shows no difference.
#[tokio::test]
async fn who_ends_its_half_is_given_up_in_the_end() {
    let (router, mut is_gone) = router();
    let server = Running::start(worker(Duration::ZERO).write_timeout(SHORT), router).await;
    let nothing = half_close(&server, b"GET /never HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!((nothing.as_str(), soon(is_gone.recv()).await), ("", None));
}

/// The responses to an upload of `length` bytes that no handler reads, and to the next request.
async fn early(server: &Running, path: &str, length: usize) -> client::Answer {
    let mut connection = server.connect().await;
    let head = format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
    connection.send(&[head.as_bytes(), &vec![b'x'; length]].concat()).await.unwrap();
    let answer = soon(connection.receive()).await.unwrap();
    if answer.closes() {
        soon(connection.finish()).await.unwrap();
    } else {
        exchange(&mut connection).await;
    }
    answer
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_says_whether_it_is_the_last() {
    let server = Running::start(worker(Duration::ZERO).max_body(1_000_000), router().0).await;
    for (path, status) in [("/nowhere", 404), ("/", 405), ("/deaf", 200)] {
        let small = early(&server, path, 50_000).await;
        assert_eq!((small.status, small.closes()), (status, false), "{path}");
        let large = early(&server, path, 200_000).await;
        assert_eq!((large.status, large.closes()), (status, true), "{path}");
    }
    let too_large = early(&server, "/deaf", 1_000_001).await;
    assert_eq!((too_large.status, too_large.closes()), (413, true));
}

#[tokio::test]
async fn who_waits_to_be_asked_for_its_body_is_not_asked_in_vain() {
    let server = Running::start(worker(Duration::ZERO), router().0).await;
    let mut connection = server.connect().await;
    let head = b"POST /deaf HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    connection.send(head).await.unwrap();
    let answer = soon(connection.receive()).await.unwrap();
    assert_eq!((answer.status, answer.closes()), (200, true));
    soon(connection.finish()).await.unwrap();
}

#[tokio::test]
async fn a_client_of_http_1_0_keeps_its_connection_and_is_told_when_not() {
    let server = Running::start(worker(Duration::from_secs(60)), router().0).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut ask = async || {
        stream.write_all(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = soon(stream.read(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).to_lowercase()
    };
    assert!(ask().await.contains("\r\nconnection: keep-alive\r\n"));
    let forced = server.stop();
    let last = ask().await;
    assert!(last.contains("\r\nconnection: close\r\n") && !last.contains("keep-alive"), "{last}");
    drop(stream);
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Running::start(worker(Duration::ZERO), router().0).await;
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n"] {
        let mut connection = server.connect().await;
        connection.send(format!("GET / HTTP/1.1\r\n{hosts}\r\n").as_bytes()).await.unwrap();
        assert_eq!(soon(connection.receive()).await.unwrap().status, 400, "{hosts}");
    }
}

/// The worker answers before the end of the upload, and the client reads only after it has sent all of it.
#[tokio::test]
async fn an_upload_that_goes_on_finds_its_answer() {
    const PIECE: usize = 16 * 1024;
    const PIECES: usize = 30;
    let server = Running::start(worker(Duration::ZERO), hello()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", PIECE * PIECES);
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..PIECES {
        stream.write_all(&[b'x'; PIECE]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}
