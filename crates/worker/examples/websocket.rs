//! A WebSocket needs no extra code. In a drain the worker sends Close 1001 between two of its messages. The
//! peer answers with Close, and then `recv` ends as usual.
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
