//! Serve an [axum](https://docs.rs/axum) router behind a socket that systemd owns, and lose no request when
//! the worker is replaced.
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
//! This is a complete worker:
//! - It takes every listener named `http` (`FileDescriptorName=http`) from systemd. A listener is a TCP or a
//!   unix socket. Without a listener the worker ends with an error. It never opens a port by itself.
//! - It sends READY=1 once it accepts connections. It feeds the watchdog from the runtime that serves. So if the
//!   runtime stalls, systemd replaces the process.
//! - SIGTERM (or SIGINT) starts a drain. The worker first stops accepting. Connections that it has not accepted
//!   go to its siblings. Requests in progress may finish until the drain deadline. The worker closes all other
//!   connections in the way that their protocol has for it. Then [`run`] returns.
//!
//! | protocol | what the worker tells the client in a drain |
//! |---|---|
//! | HTTP/1.1 | every response has `Connection: close`; an idle connection lingers, its next request is still answered, then it is closed without a reset |
//! | HTTP/2 (prior knowledge) | two GOAWAY frames: the first asks for no new requests, the second, one round trip later, refuses them (RFC 9113 §6.8) |
//! | WebSocket, over either | Close 1001 between two frames of the application, and some time to answer it |
//! | server-sent events | the stream ends after an event; the client reconnects by itself |
//!
//! Most applications need no code for this. An application that would hold its connection, as a long poll
//! does, or that must end background tasks, uses [`Drain`]. [`Worker`] has the settings. Among them are the
//! limits on clients: how long a client may be silent, send a head or a body, or leave a response unread.
//!
//! The library logs through [`tracing`] and installs no subscriber. Install one to see what the worker does.
//!
//! A server cannot tell an idle HTTP/1.1 client that it is about to close the connection. A client may stay
//! silent for the whole linger time and send at the very moment of the close. Such a client must open a new
//! connection (RFC 9112 §9.3.1).

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

/// A whole program: serves `application` on the listeners named `http` until SIGTERM, drains, and returns the
/// exit status. If the worker cannot serve, the function prints the reason on stderr.
///
/// If the status is 78, systemd does not restart the worker (`RestartPreventExitStatus=78`): the unit or its
/// environment must be changed first.
pub async fn run(application: impl Application) -> ExitCode {
    match serve(application).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            last_words(&format!("{error:?}"));
            error.exit_code()
        }
    }
}

/// Like [`run`], for a program that handles its errors itself.
///
/// Short for `Worker::from_arguments()?.serve(application)`, so you can try the program without systemd.
///
/// # Errors
/// See [`Error`]. [`Error::is_configuration`] says whether a restart could help.
pub async fn serve(application: impl Application) -> Result<(), Error> {
    Worker::from_arguments()?.serve(application).await
}
