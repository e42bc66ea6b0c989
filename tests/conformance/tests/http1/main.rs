//! HTTP/1.1 (RFC 9110, RFC 9112): what a server does with a request, and whether the connection continues
//! after it.
//!
//! One module per topic. A case sends bytes and, in the same write, a further request. The server answers
//! that one only if server and client agree where the first one ends. Request smuggling exploits a
//! disagreement about this (RFC 9112 §11.2).

mod bodies;
mod chunks;
mod connections;
mod fields;
mod hosts;
mod request_lines;

use conformance::{Case, hold, http1::Talk};

fn all() -> Vec<Case<Talk>> {
    let tables = [
        request_lines::cases(),
        hosts::cases(),
        fields::cases(),
        bodies::cases(),
        chunks::cases(),
        connections::cases(),
    ];
    tables.into_iter().flatten().collect()
}

#[tokio::test]
async fn every_case_holds() {
    hold(&all()).await;
}

/// docs/reference/worker.md gives this number. With the HTTP/2 cases they are nearly 400, as docs/promises.md says.
#[test]
fn there_are_more_than_180_cases() {
    assert!(all().len() > 180, "{} cases", all().len());
}
