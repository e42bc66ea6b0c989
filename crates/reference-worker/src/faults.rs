//! Faults on demand, for tests of the cluster around this worker.
//!
//! With `APP_CLUSTER_FAULTS=1` these are served, by GET and POST alike:
//!
//! | path | what happens |
//! |---|---|
//! | `/fault/crash` | abort(3): killed by SIGABRT, as a program with corrupt memory would be |
//! | `/fault/panic` | a panic that nothing catches: the process ends with status 101 |
//! | `/fault/hang` | the thread that serves is blocked for ever; the watchdog starves |
//! | `/fault/exit` | the process ends with status 0, as if its work were done |
//!
//! `APP_CLUSTER_FAULT_START` makes the start itself go wrong, see [`StartFault`].

use std::str::FromStr;
use std::time::Duration;

use axum::Router;
use axum::routing::MethodFilter;
use axum::routing::{MethodRouter, on};

/// What goes wrong when the worker starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartFault {
    /// `fail`: an error before READY=1, exit status 1.
    Fail,
    /// `hang`: READY=1 never comes.
    Hang,
    /// `exit0`: exit status 0 before READY=1.
    Exit0,
    /// `crash-after=500ms`: ready, and killed by SIGABRT that long after the start.
    CrashAfter(Duration),
}

impl FromStr for StartFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "fail" => Ok(Self::Fail),
            None if text == "hang" => Ok(Self::Hang),
            None if text == "exit0" => Ok(Self::Exit0),
            Some(("crash-after", after)) => {
                let after = humantime::parse_duration(after).map_err(|error| error.to_string())?;
                Ok(Self::CrashAfter(after))
            }
            _ => Err("expected fail, hang, exit0 or crash-after=TIME".to_owned()),
        }
    }
}

/// Lets the start go wrong.
pub(crate) async fn start(fault: Option<StartFault>) -> anyhow::Result<()> {
    match fault {
        None => Ok(()),
        Some(StartFault::Fail) => anyhow::bail!("failed to start: APP_CLUSTER_FAULT_START=fail"),
        Some(StartFault::Hang) => {
            tracing::warn!("APP_CLUSTER_FAULT_START=hang, this worker will never be ready");
            std::future::pending().await
        }
        Some(StartFault::Exit0) => {
            tracing::warn!("APP_CLUSTER_FAULT_START=exit0, this worker ends before it is ready");
            std::process::exit(0)
        }
        Some(StartFault::CrashAfter(after)) => {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                crash().await
            });
            Ok(())
        }
    }
}

/// The routes under `/fault/`.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/fault/crash", either(crash))
        .route("/fault/panic", either(panic))
        .route("/fault/hang", either(hang))
        .route("/fault/exit", either(exit))
}

fn either<F: Future<Output = ()> + Send + 'static>(
    fault: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> MethodRouter {
    on(MethodFilter::GET.or(MethodFilter::POST), fault)
}

async fn crash() {
    std::process::abort()
}

/// The library answers a handler's panic with 500. So this one happens elsewhere, and ends the
/// process the way a panic in `main` does.
async fn panic() {
    let _ = std::thread::spawn(|| panic!("/fault/panic")).join();
    std::process::exit(101)
}

async fn hang() {
    loop {
        std::thread::park();
    }
}

async fn exit() {
    std::process::exit(0)
}
