//! What HTTP wants of a server. A worker and plain `axum::serve` are asked the same, side by side.
//!
//! A [`Case`] is a few bytes and what comes of them. The tables in `tests/` hold the cases, one table per idea.
//! Where plain axum does something else, the case says so and names the reason, which is a row of the table
//! "Differences to plain axum" in docs/worker.md.

mod case;
mod code;
pub mod http1;
pub mod http2;
mod server;

pub use crate::{
    case::{Case, Conversation, hold},
    server::Server,
};
