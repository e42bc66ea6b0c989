//! From exec to READY=1, or to an exit status that says why not.

use std::io::BufRead;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use client::Connection;

use crate::process::{Socket, Worker, exchange, get, soon};

/// The worker exits with EX_CONFIG and says what to do.
async fn expect_configuration_error(mut worker: Worker, sentence: &str) {
    assert_eq!(worker.ended().await.code(), Some(78), "{}", worker.stderr());
    assert!(worker.stderr().contains(sentence), "{}", worker.stderr());
    assert!(!worker.untold().contains("READY=1"));
}

#[tokio::test]
async fn a_ready_worker_answers() {
    let socket = Socket::listen();
    // It waits in the accept queue before a worker can accept it.
    let mut early = socket.connect().await;
    early.send(&get("/")).await.unwrap();
    let mut worker = socket.start(&[("APP_CLUSTER_INSTANCE", "3")]);
    let ready = worker.told("READY=1").await;
    assert!(ready.contains(&format!("STATUS=accepting connections on {}", socket.address)), "{ready}");
    let answer = soon(early.receive()).await.unwrap();
    let who = String::from_utf8(answer.body).unwrap();
    assert!(who.starts_with(r#"{"instance":3,"pid":"#), "{who}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(who.ends_with(&format!(r#","version":"{version}","release":"{version}"}}"#)), "{who}");
    assert!(worker.stderr().contains("starting worker 3, release "), "{}", worker.stderr());
}

#[tokio::test]
async fn the_routes_answer() {
    let socket = Socket::listen();
    let _worker = socket.worker(&[]).await;
    let mut connection = socket.connect().await;
    for (path, status, body) in [
        ("/healthz", 200, "ok\n"),
        ("/sleep?ms=1", 200, "slept 1 ms\n"),
        ("/sleep?ms=60001", 400, "ms=60001 is too long, the most is 60000\n"),
        ("/sleep?ms=long", 400, "Failed to deserialize query string: ms: invalid digit found in string"),
        ("/sleep", 400, "Failed to deserialize query string: missing field `ms`"),
        ("/nowhere", 404, ""),
        ("/fault/exit", 404, ""),
    ] {
        let answer = exchange(&mut connection, &get(path)).await;
        assert_eq!((answer.status, &*String::from_utf8_lossy(&answer.body)), (status, body), "{path}");
    }
    let echo = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(exchange(&mut connection, echo).await.body, b"hello");
    // The worker answers before it has read the body. The unread bytes do not destroy the response.
    let mut large = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4000000\r\n\r\n".to_vec();
    large.resize(large.len() + 4_000_000, b'x');
    assert_eq!(exchange(&mut socket.connect().await, &large).await.status, 413);
}

#[tokio::test]
async fn without_a_socket_it_does_not_start() {
    expect_configuration_error(Worker::start(None, &[]), "no socket was passed by systemd").await;
    let without_exec = [("NOTIFY_SOCKET", "/run/none"), ("LISTEN_FDS", "1"), ("LISTEN_PID", "1")];
    let told = "systemd has passed its sockets to process 1, and this one is ";
    expect_configuration_error(Worker::start(None, &without_exec), told).await;
    let socket = Socket::listen();
    let other_name = socket.start(&[("LISTEN_FDNAMES", "console:metrics")]);
    expect_configuration_error(other_name, "no socket named \"http\" was passed").await;
    assert!(std::net::TcpStream::connect(socket.address).is_ok(), "the test's own listener still listens");
}

/// Terminals and CI agents are services. Programs that they start inherit systemd's variables.
#[tokio::test]
async fn who_inherits_what_systemd_says_to_another_is_no_service() {
    for (pid, is_started) in [("1", true), ("own", false)] {
        let mut command = std::process::Command::new("/bin/sh");
        let script = "[ $PID = own ] && PID=$$; SYSTEMD_EXEC_PID=$PID exec \"$0\" --listen 127.0.0.1:0 2>&1";
        let mut worker = command
            .args(["-c", script, env!("CARGO_BIN_EXE_app-cluster-worker")])
            .env("PID", pid)
            .env_remove("NOTIFY_SOCKET")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = std::io::BufReader::new(worker.stdout.take().unwrap()).lines().map_while(Result::ok);
        let wanted = if is_started { "accepting connections on" } else { "no socket was passed by systemd" };
        let is_told = told.any(|line| line.contains(wanted));
        let _ = worker.kill();
        worker.wait().unwrap();
        assert!(is_told, "SYSTEMD_EXEC_PID={pid}: not told: {wanted}");
    }
}

#[tokio::test]
async fn the_socket_is_taken_by_name() {
    let socket = Socket::listen();
    // The list is longer than LISTEN_FDS, but the wanted name is the first.
    let _worker = socket.worker(&[("LISTEN_FDNAMES", "http:console")]).await;
}

#[tokio::test]
async fn a_blocking_socket_is_refused_and_left_as_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let worker = Worker::start(Some(listener.try_clone().unwrap().into()), &[]);
    expect_configuration_error(worker, "set NonBlocking=yes").await;
    let flags = rustix::fs::fcntl_getfl(&listener).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
}

#[tokio::test]
async fn something_else_than_a_listener_is_refused() {
    let (datagrams, _) = UnixDatagram::pair().unwrap();
    let message = "is neither a TCP nor a unix stream listener";
    expect_configuration_error(Worker::start(Some(datagrams.into()), &[]), message).await;
    let socket = Socket::listen();
    let connection = TcpStream::connect(socket.address).unwrap();
    let connection: OwnedFd = connection.into();
    expect_configuration_error(Worker::start(Some(connection), &[]), "set Accept=no").await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_named() {
    let socket = Socket::listen();
    let worker = socket.start(&[("APP_CLUSTER_DRAIN", "soon")]);
    expect_configuration_error(worker, "APP_CLUSTER_DRAIN=\"soon\" cannot be used").await;
    let worker = socket.start(&[("APP_CLUSTER_LINGER", "2s"), ("APP_CLUSTER_DRAIN", "1s")]);
    expect_configuration_error(worker, "APP_CLUSTER_LINGER=\"2s\" cannot be used").await;
}

#[tokio::test]
async fn sigterm_right_after_ready_is_a_clean_end() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[("APP_CLUSTER_LINGER", "20s")]).await;
    worker.terminate();
    worker.ended_well().await;
    // The accept queue outlives the worker.
    let mut waiting = Connection::open(socket.address).await.unwrap();
    waiting.send(&get("/")).await.unwrap();
    let _next = socket.worker(&[]).await;
    assert_eq!(soon(waiting.receive()).await.unwrap().status, 200);
}
