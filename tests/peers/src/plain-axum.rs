//! Answers with its identity, like the reference worker, and leaves its end to `axum::serve`.

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    http::header::CONTENT_TYPE,
    routing::{get, post},
};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use serde_json::json;
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
};

fn main() -> Result<()> {
    // One thread, like the reference worker.
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<()> {
    let listener = ListenFd::from_env().take_tcp_listener(0)?.context("systemd has passed no socket")?;
    let listener = TcpListener::from_std(listener).context("failed to use the socket")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to handle SIGTERM")?;
    let router = router()?;
    sd_notify::notify(&[NotifyState::Ready]).context("failed to tell systemd")?;
    let terminated = async move {
        terminate.recv().await;
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(terminated).await?)
}

fn router() -> Result<Router> {
    let instance: Option<u32> =
        std::env::var("APP_CLUSTER_INSTANCE").ok().and_then(|number| number.parse().ok());
    let who = json!({
        "instance": instance,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "release": "axum",
    });
    let who = Bytes::from(serde_json::to_vec(&who).context("failed to write who answers")?);
    let answer = move || async move { ([(CONTENT_TYPE, "application/json")], who) };
    Ok(Router::new().route("/", get(answer)).route("/echo", post(|body: Bytes| async { body })))
}
