//! A strict HTTP/1.1 client. It never retries, and each way to lose a request has a name.
//!
//! These count as a loss ([`Failure`]): no response, a cut response, a wrong response, and a reset after the
//! first byte of a request was sent. A kept connection that is closed when the next request is due also
//! counts, unless the last response had `Connection: close`. RFC 9112 §9.3.1 lets a client open another
//! connection in that case. But that is safe only if the client notices the close: a moment later the same
//! close costs a request.
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
