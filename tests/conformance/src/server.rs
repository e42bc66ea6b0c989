//! Both servers, with the same application.

use std::net::SocketAddr;

use app_cluster_worker::{Drain, fuzzing};
use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing::{get, post},
};
use scoreboard::{Instance, Slot};
use tokio::net::TcpListener;

/// The tested server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `app-cluster-worker`, with its default settings.
    Worker,
    /// `axum::serve`.
    Axum,
}

impl Server {
    /// Starts it in the caller's runtime, and returns its address.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = listener.local_addr().expect("it has an address");
        match self {
            Self::Worker => drop(tokio::spawn(work(listener))),
            Self::Axum => drop(tokio::spawn(async { axum::serve(listener, router()).await })),
        }
        address
    }
}

async fn work(listener: TcpListener) {
    let slot = Slot::private(Instance::FIRST, "");
    let drain = Drain::default();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(fuzzing::serve(router(), drain.clone(), slot.clone(), stream));
    }
}

/// `/probe` shows that a connection continues. `/never` does not answer. `/deaf` answers without reading the
/// body.
fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/echo", post(async |body: Bytes| body))
        .route("/deaf", post(async || "deaf"))
        .route("/never", post(async |_: Body| std::future::pending::<()>().await))
        .route("/probe", get(async || StatusCode::NO_CONTENT))
}
