//! The faults do what their documentation says.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::{Socket, Worker, get, soon};

const FAULTS: (&str, &str) = ("APP_CLUSTER_FAULTS", "1");

async fn fault(path: &str) -> (ExitStatus, Worker) {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[FAULTS]).await;
    let mut connection = socket.connect().await;
    connection.send(&get(path)).await.unwrap();
    (worker.ended().await, worker)
}

async fn start_fault(fault: &str) -> (ExitStatus, Worker) {
    let mut worker = Socket::listen().start(&[("APP_CLUSTER_FAULT_START", fault)]);
    (worker.ended().await, worker)
}

#[tokio::test]
async fn the_process_ends_as_asked() {
    assert_eq!(fault("/fault/crash").await.0.signal(), Some(Signal::ABORT.as_raw()));
    assert_eq!(fault("/fault/panic").await.0.code(), Some(101));
    assert_eq!(fault("/fault/exit").await.0.code(), Some(0));
}

#[tokio::test]
async fn a_hanging_worker_starves_its_watchdog() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[FAULTS, ("WATCHDOG_USEC", "100000")]).await;
    for _ in 0..5 {
        worker.told("WATCHDOG=1").await;
    }
    let mut connection = socket.connect().await;
    connection.send(&get("/fault/hang")).await.unwrap();
    let silence = async {
        let period = Duration::from_secs(1);
        while tokio::time::timeout(period, worker.next_notification()).await.is_ok() {}
    };
    soon(silence).await;
}

#[tokio::test]
async fn the_watchdog_is_fed_while_draining() {
    let socket = Socket::listen();
    let mut worker = socket.worker(&[("WATCHDOG_USEC", "100000"), ("APP_CLUSTER_LINGER", "25s")]).await;
    let _idle = socket.connect().await;
    let mut connection = socket.connect().await;
    crate::process::exchange(&mut connection, &get("/")).await;
    worker.drain().await;
    for _ in 0..5 {
        worker.told("WATCHDOG=1").await;
    }
}

#[tokio::test]
async fn the_start_fails_as_asked() {
    let (status, worker) = start_fault("fail").await;
    assert_eq!(status.code(), Some(1));
    assert!(worker.stderr().contains("failed to start: APP_CLUSTER_FAULT_START=fail"));
    assert!(!worker.untold().contains("READY=1"));

    let (status, worker) = start_fault("exit0").await;
    assert_eq!(status.code(), Some(0));
    assert!(!worker.untold().contains("READY=1"));

    let (status, worker) = start_fault("crash-after=50ms").await;
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(worker.untold().contains("READY=1"));
}

#[tokio::test]
async fn a_start_that_hangs_is_never_ready() {
    let worker = Socket::listen().start(&[("APP_CLUSTER_FAULT_START", "hang")]);
    let hangs = async {
        while !worker.stderr().contains("will never be ready") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(hangs).await;
    assert_eq!(worker.untold(), "");
}

#[tokio::test]
async fn answers_are_as_bad_as_asked() {
    let socket = Socket::listen();
    let pause = Duration::from_millis(50);
    let faults = [("APP_CLUSTER_FAULT_ERRORS", "0.2"), ("APP_CLUSTER_FAULT_SLOW", "50ms")];
    let _worker = socket.worker(&faults).await;
    let mut connection = socket.connect().await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        statuses.push(crate::process::exchange(&mut connection, &get("/")).await.status);
        assert!(began.elapsed() >= pause);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 500, 200, 200, 200, 200, 500]);
}
