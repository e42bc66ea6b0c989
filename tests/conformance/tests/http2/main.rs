//! HTTP/2 (RFC 9113) and its compression of header fields (RFC 7541): what a server does with frames.
//!
//! One module per topic. The cases are those that h2spec has for servers, and some more, numbered by RFC
//! 9113. A server may treat a stream error as a connection error (§5.4.1), and h2 often does.

mod compression;
mod connection;
mod frames;
mod requests;
mod settings;
mod streams;
mod windows;

use conformance::{Case, hold, http2::Talk};

fn all() -> Vec<Case<Talk>> {
    let tables = [
        connection::cases(),
        frames::cases(),
        streams::cases(),
        settings::cases(),
        windows::cases(),
        compression::cases(),
        requests::cases(),
    ];
    tables.into_iter().flatten().collect()
}

#[tokio::test]
async fn every_case_holds() {
    hold(&all()).await;
}

/// docs/reference/worker.md gives this number. h2spec 2.6.0 has 146 cases in its groups generic, http2 and hpack.
#[test]
fn there_are_200_cases() {
    assert!(all().len() >= 200, "{} cases", all().len());
}
