//! Serve an [axum](https://docs.rs/axum) router behind a socket that systemd owns, and lose no
//! request when the worker is replaced.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> std::process::ExitCode {
//!     app_cluster_worker::run(Router::new().route("/", get(|| async { "hello\n" }))).await
//! }
//! ```
//!
//! That is a whole worker:
//! - It takes every listener named `http` (`FileDescriptorName=http`) from systemd, of TCP or of unix sockets. Without one
//!   it ends with an error and never opens a port by itself.
//! - It says READY=1 once it accepts, and feeds the watchdog from the runtime that serves: when
//!   that stalls, systemd replaces the process.
//! - SIGTERM (or SIGINT) drains. It stops accepting first; connections it has not accepted belong
//!   to its siblings. What is busy may finish until the drain deadline, the others are taken leave of in
//!   their protocol's own words. Then [`run`] returns.
//!
//! | protocol | what its client is told in a drain |
//! |---|---|
//! | HTTP/1.1 | every answer says `Connection: close`; an idle connection lingers, its next request is still answered, and it is closed gently after that |
//! | HTTP/2 (prior knowledge) | GOAWAY twice: send nothing new, and after a round trip, nothing new is taken (RFC 9113 §6.8) |
//! | WebSocket, over either | Close 1001 between two frames of the application, and a moment to answer it |
//! | server-sent events | the stream ends after an event; its client connects again by itself |
//!
//! Applications need not do anything for it. One that would hold its connection, as a long poll does, or has background
//! tasks to end, asks [`Drain`]. [`Worker`] has the settings, among them what a client may cost: silence, slow
//! heads and bodies, answers that it does not read.
//!
//! Nothing here logs by itself: install a [`tracing`] subscriber to see what the worker does.
//!
//! A server cannot tell an idle HTTP/1.1 client that its connection is about to be closed, so a client that stays silent
//! for the whole linger time and sends at the very moment of the close must open a new connection (RFC 9112 §9.3.1).

mod accept;
mod address;
mod answer;
mod application;
mod bound;
mod connection;
mod crowd;
mod drain;
mod error;
mod exchange;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod half_closed;
mod host;
mod last_words;
mod limits;
mod listener;
mod notify;
mod place;
mod recycle;
mod service;
mod slice;
mod socket;
mod stream;
mod upload;
mod websocket;
mod woken;
mod worker;

pub use accept::Accept;
pub use address::Address;
pub use application::Application;
pub use bound::{Bound, Counts};
pub use drain::{Drain, Hold};
pub use error::Error;
pub use last_words::last_words;
pub use scoreboard::{Counters, Histogram};
pub use worker::Worker;

use std::process::ExitCode;

/// A whole program: serves `application` on the listeners named `http` until SIGTERM, drains, and returns the status to exit
/// with. What keeps it from serving is told on stderr.
///
/// With 78 systemd does not start it again, for the unit or its environment has to be changed first
/// (`RestartPreventExitStatus=78`).
pub async fn run(application: impl Application) -> ExitCode {
    match serve(application).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            last_words(&format!("{error:?}"));
            error.exit_code()
        }
    }
}

/// The same for a program that sees to its errors by itself.
///
/// Short for `Worker::from_arguments()?.serve(application)`: a program that consists of it can be tried without systemd.
///
/// # Errors
/// See [`Error`]; [`Error::is_configuration`] tells whether starting again could help.
pub async fn serve(application: impl Application) -> Result<(), Error> {
    Worker::from_arguments()?.serve(application).await
}
