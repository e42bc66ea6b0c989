//! What a worker listens on, and what an application learns about it.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use axum::extract::ConnectInfo;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::{Address, Bound};

/// Answers with the address of the client.
fn whoami() -> Router {
    Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()))
}

fn tcp() -> Listener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    Listener::Tcp(listener)
}

fn unix(name: &str) -> (Listener, PathBuf) {
    let path = std::env::temp_dir().join(format!("app-cluster-test-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    (Listener::Unix(listener), path)
}

fn bind(listeners: Vec<Listener>) -> Bound {
    Bound::new(listeners, worker(Duration::from_millis(20))).unwrap()
}

/// The last response on this stream, to its end.
async fn ask(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

fn tcp_address(bound: &Bound, index: usize) -> SocketAddr {
    let Address::Tcp(address) = bound.addresses()[index] else { panic!("{:?}", bound.addresses()) };
    address
}

#[tokio::test]
async fn it_serves_all_of_them_and_counts_for_all() {
    let (listener, path) = unix("all");
    let bound = bind(vec![tcp(), listener, tcp()]);
    assert_eq!(bound.addresses()[1], Address::Unix(path.clone()));
    let addresses = [tcp_address(&bound, 0), tcp_address(&bound, 2)];
    let (drain, counts) = (bound.drain(), bound.counts());
    let served = tokio::spawn(bound.serve(hello()));
    for round in 1..=20 {
        for address in addresses {
            assert!(ask(TcpStream::connect(address).await.unwrap()).await.ends_with("hello"));
        }
        assert!(ask(UnixStream::connect(&path).await.unwrap()).await.ends_with("hello"));
        let counters = counts.read();
        assert_eq!((counters.accepts, counters.requests), (3 * round, 3 * round));
    }
    drain.begin();
    soon(served).await.unwrap().unwrap();
    assert_eq!(counts.read().responses, [0, 60, 0, 0, 0]);
    std::fs::remove_file(path).unwrap();
}

/// A listener without clients does not take the only place.
#[tokio::test]
async fn a_quiet_listener_keeps_no_room() {
    let bound = Bound::new(vec![tcp(), tcp()], worker(Duration::ZERO).max_connections(1)).unwrap();
    let addresses = [tcp_address(&bound, 0), tcp_address(&bound, 1)];
    let drain = bound.drain();
    let served = tokio::spawn(bound.serve(hello()));
    for address in addresses.into_iter().chain(addresses) {
        assert!(ask(TcpStream::connect(address).await.unwrap()).await.ends_with("hello"));
    }
    drain.begin();
    soon(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_application_knows_who_asks() {
    let (listener, path) = unix("peer");
    let bound = bind(vec![tcp(), listener]);
    let address = tcp_address(&bound, 0);
    let drain = bound.drain();
    let served = tokio::spawn(bound.serve(whoami()));
    let stream = TcpStream::connect(address).await.unwrap();
    let me = stream.local_addr().unwrap().to_string();
    assert!(ask(stream).await.ends_with(&me));
    let nobody = ask(UnixStream::connect(&path).await.unwrap()).await;
    assert!(nobody.starts_with("HTTP/1.1 500"), "the client of a unix socket has no address: {nobody}");
    drain.begin();
    soon(served).await.unwrap().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn a_drain_counts_whom_it_found_idle() {
    let bound = bind(vec![tcp()]);
    let address = tcp_address(&bound, 0);
    let (drain, counts) = (bound.drain(), bound.counts());
    let served = tokio::spawn(bound.serve(hello()));
    let mut idle = Connection::open(address).await.unwrap();
    exchange(&mut idle).await;
    let silent = Connection::open(address).await.unwrap();
    exchange(&mut Connection::open(address).await.unwrap()).await;
    drain.begin();
    soon(idle.finish()).await.unwrap();
    soon(silent.finish()).await.unwrap();
    soon(served).await.unwrap().unwrap();
    assert_eq!(counts.read().ended[scoreboard::Ended::Idle as usize], 2);
}

/// Any tower service, with its own type of body.
#[tokio::test]
async fn a_service_need_not_be_a_router() {
    let bound = bind(vec![tcp()]);
    let address = tcp_address(&bound, 0);
    let drain = bound.drain();
    let service = tower::service_fn(async |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(Bytes::from(path))))
    });
    let served = tokio::spawn(bound.serve(service));
    assert!(ask(TcpStream::connect(address).await.unwrap()).await.ends_with("\r\n/"));
    drain.begin();
    soon(served).await.unwrap().unwrap();
}
