//! Serve an [axum](https://docs.rs/axum) router behind a socket that systemd owns, and lose no
//! request when the worker is replaced.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), app_cluster_worker::Error> {
//!     app_cluster_worker::serve(Router::new().route("/", get(|| async { "hello\n" }))).await
//! }
//! ```
//!
//! That is a whole worker:
//! - It takes the listener named `http` (`FileDescriptorName=http`) from systemd. Without one it
//!   ends with an error and never opens a port by itself.
//! - It says READY=1 once it accepts, and feeds the watchdog from the runtime that serves: when
//!   that stalls, systemd replaces the process.
//! - SIGTERM (or SIGINT) drains. It stops accepting first; connections it has not accepted belong
//!   to its siblings. Every answer from then on says `Connection: close`. Idle connections linger:
//!   the next request on them is still answered. What is still idle after that is closed gently,
//!   what is busy may finish until the drain deadline. Then [`serve`] returns.
//!
//! [`Worker`] has the few settings, and a [`Draining`] handle for handlers that want to know.
//! Nothing here logs by itself: install a [`tracing`] subscriber to see what the worker does.
//!
//! Served is HTTP/1.1. A server cannot tell an idle HTTP/1.1 client that its connection is about
//! to be closed, so a client that stays silent for the whole linger time and sends at the very
//! moment of the close must open a new connection (RFC 9112 §9.3.1).

mod accept;
mod connection;
mod drain;
mod error;
mod exchange;
mod listener;
mod notify;
mod service;
mod stream;
mod worker;

pub use drain::Draining;
pub use error::Error;
pub use worker::Worker;

/// Serves `router` on the listener named `http` until SIGTERM, drains, and returns.
///
/// Short for `Worker::new().serve(router)`.
///
/// # Errors
/// See [`Error`]; [`Error::is_configuration`] tells whether starting again could help.
pub async fn serve(router: axum::Router) -> Result<(), Error> {
    Worker::new().serve(router).await
}
