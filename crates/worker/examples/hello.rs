//! A complete worker. Without systemd: `cargo run --example hello -- --listen 127.0.0.1:3000`

use axum::{Router, routing::get};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    app_cluster_worker::run(Router::new().route("/", get(async || "hello\n"))).await
}
