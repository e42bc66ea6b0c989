//! The limits on clients, the drain, the log, and the exit status for systemd.
//!
//! `cargo run --example settings -- --listen 127.0.0.1:3000`

use std::process::ExitCode;
use std::time::Duration;

use app_cluster_worker::{Error, Worker};
use axum::Router;
use axum::routing::{get, post};

const MIB: u64 = 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            error.exit_code()
        }
    }
}

async fn run() -> Result<(), Error> {
    let worker = Worker::from_arguments()?
        // Shorter than TimeoutStopSec= in the unit, so that the worker counts and logs what it cuts.
        .drain_timeout(Duration::from_secs(30))
        .linger(Duration::from_secs(2))
        // Longer than the proxy in front keeps an idle connection.
        .idle_timeout(Duration::from_secs(75))
        .head_timeout(Duration::from_secs(5))
        .body_timeout(Duration::from_secs(10))
        .write_timeout(Duration::from_secs(10))
        .max_head(16 * 1024)
        .max_streams(20)
        .max_body(MIB)
        .max_connections(2_000);
    let router = Router::new()
        .route("/", get(async || "hello\n"))
        .route("/upload", post(async |body: axum::body::Bytes| format!("{} bytes\n", body.len())));
    worker.serve(router).await
}
