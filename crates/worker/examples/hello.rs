//! A whole worker. Without systemd: `cargo run --example hello -- --listen 127.0.0.1:3000`

use axum::{Router, routing::get};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), app_cluster_worker::Error> {
    app_cluster_worker::serve(Router::new().route("/", get(async || "hello\n"))).await
}
