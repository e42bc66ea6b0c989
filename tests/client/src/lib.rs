//! A strict HTTP/1.1 client: it never tries again, and every way to lose a request has a name.
//!
//! What counts as a loss: once any byte of a request has left, no answer, a cut answer, a wrong
//! answer and a reset are failures ([`Failure`]). A server may close a connection while it is idle;
//! the client looks right before it sends, opens another one and counts that apart
//! ([`Report::closed_idle`]). A new connection is not idle: closed before its first answer, it is a
//! failure.
//!
//! ```no_run
//! # async fn run() {
//! use std::time::Duration;
//! use client::Load;
//!
//! let load = Load::new(([127, 0, 0, 1], 8080).into())
//!     .connections(50)
//!     .gap(Duration::ZERO..=Duration::from_millis(20));
//! let running = load.start();
//! // … reload the cluster …
//! let report = running.stop().await;
//! assert!(report.is_clean(), "{report}");
//! # }
//! ```

mod answer;
mod connection;
mod failure;
mod lane;
mod load;
mod pace;
mod protocol;
mod report;
mod tally;

pub use answer::Answer;
pub use connection::{Connection, Unsent};
pub use failure::Failure;
pub use load::{Load, Running};
pub use report::{Answers, Example, Latency, Report};
