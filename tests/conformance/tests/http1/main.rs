//! HTTP/1.1 (RFC 9110, RFC 9112): what a server does with a request, and whether the connection goes on after it.
//!
//! One module per idea. A case sends bytes and, in the same breath, a further request: it is answered only if the server
//! and the client agree where the first one ends. That is what request smuggling is about (RFC 9112 §11.2).

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

/// As docs/worker.md says. With those of HTTP/2 they are nearly 400, as docs/promises.md says.
#[test]
fn there_are_more_than_180_cases() {
    assert!(all().len() > 180, "{} cases", all().len());
}
