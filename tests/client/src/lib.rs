//! A strict HTTP/1.1 client: it never tries again, and every way to lose a request has a name.
//!
//! What counts as a loss ([`Failure`]): no answer, a cut answer, a wrong answer and a reset once any byte
//! of a request has left; and a kept connection that is closed when the next request is due, unless the
//! answer before it said `Connection: close`. RFC 9112 §9.3.1 leaves it to a client to open another one
//! then, but only a client that can tell is safe to: the same close a moment later costs a request.
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

pub use answer::{Answer, Persistence};
pub use connection::Connection;
pub use failure::Failure;
pub use load::{Load, Running};
pub use report::{Answers, Example, Latency, Report};
