//! HTTP/2 with prior knowledge.

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::*;

type Body = Full<Bytes>;

/// A connection, and a handle for its end.
pub(super) async fn connect(server: &Running) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (send, tokio::spawn(connection))
}

pub(super) fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://test{path}")).body(Body::default()).unwrap()
}

pub(super) async fn text(answer: Response<Incoming>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

/// A router whose `/gate` answers when the gate opens. The receiver reports each request that arrives.
pub(super) fn gate() -> (Router, tokio::sync::watch::Sender<bool>, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (open, is_open) = tokio::sync::watch::channel(false);
    let (came, who) = tokio::sync::mpsc::unbounded_channel();
    let handler = axum::routing::get(move || {
        let (mut is_open, came) = (is_open.clone(), came.clone());
        async move {
            came.send(()).unwrap();
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            "through"
        }
    });
    (hello().route("/gate", handler), open, who)
}

#[tokio::test]
async fn is_served_beside_http1() {
    let server = Running::start(worker(Duration::ZERO), hello()).await;
    let (mut send, _) = connect(&server).await;
    assert_eq!(text(send.send_request(get("/")).await.unwrap()).await, "hello");
    exchange(&mut server.connect().await).await;
}

#[tokio::test]
async fn what_has_begun_is_answered_and_the_client_is_told_to_go() {
    const STREAMS: usize = 50;
    let (router, open, mut came) = gate();
    let server = Running::start(worker(Duration::ZERO), router).await;
    let (mut send, connection) = connect(&server).await;
    let mut answers = Vec::new();
    for _ in 0..STREAMS {
        send.ready().await.unwrap();
        answers.push(tokio::spawn(send.send_request(get("/gate"))));
        soon(came.recv()).await.unwrap();
    }
    let forced = server.stop();
    // The client is told while its requests are still being answered.
    let told = soon(async {
        loop {
            if let Err(told) = send.send_request(get("/")).await {
                break told;
            }
        }
    });
    assert!(told.await.is_canceled(), "nothing was sent that could be lost");
    open.send(true).unwrap();
    for answer in answers {
        assert_eq!(text(soon(answer).await.unwrap().unwrap()).await, "through");
    }
    soon(connection).await.unwrap().unwrap();
    assert_eq!(soon(forced).await.unwrap(), 0);
}

/// A client that sends without a pause loses nothing: the worker answers all that it sends before it sees
/// GOAWAY.
#[tokio::test]
async fn no_request_of_a_busy_client_is_lost() {
    let server = Running::start(worker(Duration::from_millis(100)), hello()).await;
    let (send, _) = connect(&server).await;
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut send = send.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                // An error of `ready` means that the server takes no more. The client has sent nothing.
                while send.ready().await.is_ok() {
                    match send.send_request(get("/")).await {
                        Ok(answer) => assert_eq!(text(answer).await, "hello"),
                        // Not sent: GOAWAY arrived between the two calls.
                        Err(error) if error.is_canceled() => break,
                        Err(error) => panic!("request {answered} is lost: {error:?}"),
                    }
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(send);
    let forced = server.stop();
    for client in clients {
        assert!(soon(client).await.unwrap() > 0);
    }
    assert_eq!(soon(forced).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_and_counted() {
    let (router, _open, mut came) = gate();
    let worker = worker(Duration::ZERO).drain_timeout(Duration::from_millis(50));
    let server = Running::start(worker, router).await;
    let (mut send, _) = connect(&server).await;
    let lost = tokio::spawn(send.send_request(get("/gate")));
    soon(came.recv()).await.unwrap();
    assert_eq!(soon(server.stop()).await.unwrap(), 1);
    assert!(soon(lost).await.unwrap().is_err());
}

#[tokio::test]
async fn half_a_preface_is_nothing() {
    let worker = worker(Duration::ZERO).head_timeout(Duration::from_millis(50));
    let server = Running::start(worker, hello()).await;
    let mut connection = server.connect().await;
    connection.send(b"PRI * HTTP/2.0\r\n").await.unwrap();
    soon(connection.finish()).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_in_the_end() {
    let worker = worker(Duration::ZERO).idle_timeout(Duration::from_millis(50));
    let server = Running::start(worker, hello()).await;
    let (mut send, connection) = connect(&server).await;
    assert_eq!(text(send.send_request(get("/")).await.unwrap()).await, "hello");
    soon(connection).await.unwrap().unwrap();
}
