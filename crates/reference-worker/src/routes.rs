//! The routes of the reference worker.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::Context;
use app_cluster_worker::Drain;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use crate::identity::Identity;

/// Longer sleeps are refused, because a drain would have to cut them.
const LONGEST_NAP_MS: u64 = 60_000;
/// A larger body gets 413, so that echoes cannot fill the memory.
const LARGEST_ECHO: usize = 1024 * 1024;

pub(crate) fn router(identity: &Identity, drain: Drain) -> anyhow::Result<Router> {
    let identity = serde_json::to_vec(identity).context("failed to write who answers as JSON")?;
    let identity = Bytes::from(identity);
    Ok(Router::new()
        .route("/", get(move || async move { ([(CONTENT_TYPE, "application/json")], identity) }))
        .route("/healthz", get(healthz))
        .route("/sleep", get(sleep))
        .route("/poll", get(poll).with_state(drain))
        .route("/events", get(events))
        .route("/ws", get(ws))
        .route("/echo", post(echo).layer(DefaultBodyLimit::max(LARGEST_ECHO))))
}

/// It answers in a drain, too: the address belongs to all workers, and this response has `Connection: close`.
async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Deserialize)]
struct Nap {
    ms: u64,
}

async fn sleep(Query(nap): Query<Nap>) -> Response {
    if nap.ms > LONGEST_NAP_MS {
        let refusal = format!("ms={} is too long, the most is {LONGEST_NAP_MS}\n", nap.ms);
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    }
    tokio::time::sleep(Duration::from_millis(nap.ms)).await;
    format!("slept {} ms\n", nap.ms).into_response()
}

/// Answers when something happens. Only the drain ever does.
async fn poll(State(drain): State<Drain>) -> &'static str {
    let _ = tokio::time::timeout(Duration::from_millis(LONGEST_NAP_MS), drain.begun()).await;
    "nothing has happened\n"
}

/// The time, ten times a second.
async fn events() -> impl IntoResponse {
    let began = Instant::now();
    Sse::new(futures_util::stream::unfold(0_u64, move |number| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let event = Event::default().id(number.to_string()).data(format!("{:?}", began.elapsed()));
        Some((Ok::<_, Infallible>(event), number + 1))
    }))
}

/// Sends back each message.
async fn ws(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            let is_heard = matches!(message, Message::Text(_) | Message::Binary(_));
            if is_heard && socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

async fn echo(body: Bytes) -> Bytes {
    body
}
