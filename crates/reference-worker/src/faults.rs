//! Faults on demand, to test the cluster around this worker.
//!
//! With `APP_CLUSTER_FAULTS=1` these paths are served, for GET and POST:
//!
//! | path | what happens |
//! |---|---|
//! | `/fault/crash` | abort(3): SIGABRT kills the process, as if its memory were corrupt |
//! | `/fault/panic` | an uncaught panic: the process exits with status 101 |
//! | `/fault/hang` | the serving thread hangs for ever and does not feed the watchdog |
//! | `/fault/exit` | the process exits with status 0, as if its work were done |
//!
//! `APP_CLUSTER_FAULT_START` makes the start itself fail, see [`StartFault`]. `APP_CLUSTER_FAULT_ERRORS` and
//! `APP_CLUSTER_FAULT_SLOW` make the responses of a sound worker bad, see [`AnswerFaults`].

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;
use axum::routing::{MethodRouter, on};
use http::StatusCode;

/// The fault when the worker starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFault {
    /// `fail`: an error before READY=1, exit status 1.
    Fail,
    /// `hang`: READY=1 is never sent.
    Hang,
    /// `exit0`: exit status 0 before READY=1.
    Exit0,
    /// `crash-after=500ms`: ready, and killed by SIGABRT this long after the start.
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

/// The faults of responses. By default there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerFaults {
    /// How many of a hundred requests get 500, evenly spread.
    pub errors: Percentage,
    /// How long each request waits first.
    pub pause: Duration,
}

/// A share of a hundred, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentage(u32);

impl FromStr for Percentage {
    type Err = &'static str;

    /// `0.2` is 20 of a hundred.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        share
            .map(|share| Self((share * 100.0).round() as u32))
            .ok_or("expected a share from 0 to 1, like 0.2")
    }
}

impl Percentage {
    /// Whether the request with this number belongs to the share.
    fn has(self, number: u32) -> bool {
        let until = |number: u32| number * self.0 / 100;
        let number = number % 100;
        until(number) < until(number + 1)
    }
}

impl AnswerFaults {
    /// The same routes with these faults.
    pub fn spoil(self, router: Router) -> Router {
        if self == Self::default() {
            return router;
        }
        tracing::warn!("{} % of the answers are errors, and all come {:?} late", self.errors.0, self.pause);
        router.layer(from_fn_with_state((self, Arc::new(AtomicU32::new(0))), answer))
    }
}

async fn answer(
    State((faults, requests)): State<(AnswerFaults, Arc<AtomicU32>)>,
    request: Request,
    next: Next,
) -> Response {
    tokio::time::sleep(faults.pause).await;
    if faults.errors.has(requests.fetch_add(1, Ordering::Relaxed)) {
        return (StatusCode::INTERNAL_SERVER_ERROR, "APP_CLUSTER_FAULT_ERRORS\n").into_response();
    }
    next.run(request).await
}

/// Makes the start fail.
///
/// # Errors
/// The error of [`StartFault::Fail`].
pub async fn start(fault: Option<StartFault>) -> anyhow::Result<()> {
    match fault {
        None => Ok(()),
        Some(StartFault::Fail) => anyhow::bail!("failed to start: APP_CLUSTER_FAULT_START=fail"),
        Some(StartFault::Hang) => {
            tracing::warn!("APP_CLUSTER_FAULT_START=hang, this worker will never be ready");
            std::future::pending().await
        }
        Some(StartFault::Exit0) => {
            app_cluster_worker::last_words(
                "APP_CLUSTER_FAULT_START=exit0, this worker ends before it is ready",
            );
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
pub fn router() -> Router {
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

/// The library answers a handler's panic with 500. So this one happens elsewhere, and ends the process like a
/// panic in `main`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_spread_evenly() {
        let errors = |share: &str| {
            let share: Percentage = share.parse().unwrap();
            (0..1000).filter(|number| share.has(*number)).collect::<Vec<_>>()
        };
        assert_eq!(errors("0.2")[..4], [4, 9, 14, 19]);
        assert_eq!(
            ["0", "0.01", "0.2", "0.99", "1"].map(|share| errors(share).len()),
            [0, 10, 200, 990, 1000]
        );
    }
}
