//! A long poll would hold its connection until the drain deadline. This one answers when the drain begins.
//!
//! Run `cargo run --example long_poll -- --listen 127.0.0.1:3000`, then `curl http://127.0.0.1:3000/next`,
//! and in another terminal `curl -d news http://127.0.0.1:3000/publish`.

use std::time::Duration;

use app_cluster_worker::{Drain, Error, Worker};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::sync::broadcast;

#[derive(Clone)]
struct App {
    news: broadcast::Sender<String>,
    drain: Drain,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let worker = Worker::from_arguments()?;
    let app = App { news: broadcast::Sender::new(16), drain: worker.drain() };
    let router = Router::new().route("/next", get(next)).route("/publish", post(publish)).with_state(app);
    worker.serve(router).await
}

/// After 204 the client asks again, and then a sibling answers: in a drain, every response has `Connection:
/// close`.
async fn next(State(app): State<App>) -> Result<String, StatusCode> {
    let mut news = app.news.subscribe();
    tokio::select! {
        item = news.recv() => item.map_err(|_| StatusCode::NO_CONTENT),
        () = app.drain.begun() => Err(StatusCode::NO_CONTENT),
        () = tokio::time::sleep(Duration::from_secs(25)) => Err(StatusCode::NO_CONTENT),
    }
}

async fn publish(State(app): State<App>, item: String) -> String {
    let readers = app.news.send(item).unwrap_or(0);
    format!("{readers}\n")
}
