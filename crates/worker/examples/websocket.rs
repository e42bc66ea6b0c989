//! A WebSocket needs nothing special: in a drain the worker says Close 1001 between two of its messages, the peer answers
//! with Close, and `recv` ends as it always does.
//!
//! `cargo run --example websocket -- --listen 127.0.0.1:3000`

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), app_cluster_worker::Error> {
    app_cluster_worker::serve(Router::new().route("/echo", get(echo))).await
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(conversation)
}

async fn conversation(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let is_heard = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_heard && socket.send(message).await.is_err() {
            break;
        }
    }
}
