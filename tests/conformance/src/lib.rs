//! What HTTP requires of a server. The tests compare a worker with plain `axum::serve`.
//!
//! A [`Case`] is a few bytes and their outcome. The tables in `tests/` contain the cases, one table per
//! topic. If plain axum behaves differently, the case says so and names the reason. The reason is a row of
//! the table "Differences to plain axum" in docs/reference/worker.md.

mod case;
mod code;
pub mod http1;
pub mod http2;
mod server;

pub use crate::{
    case::{Case, Conversation, hold},
    server::Server,
};
