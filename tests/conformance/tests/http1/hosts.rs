//! The host that a request is for (RFC 9112 §3.2, RFC 9110 §7.2).

use conformance::{
    Case,
    http1::{Talk, send},
};

/// The row in docs/reference/worker.md.
const LENIENT: &str = "An HTTP/1.1 request without `Host`, with two, or with an invalid one";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    vec![
        case("a name", "Host: example.org\r\n", "200 hello; goes on"),
        case("a name and a port", "Host: example.org:8080\r\n", "200 hello; goes on"),
        case("an address of IPv6", "Host: [::1]:80\r\n", "200 hello; goes on"),
        case("an empty one, for a target without an authority", "Host:\r\n", "200 hello; goes on"),
        case("a field name in upper case", "HOST: a\r\n", "200 hello; goes on"),
        case("none", "X: y\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("two", "Host: a\r\nHost: b\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("the same twice", "Host: a\r\nHost: a\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("a space within", "Host: a b\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("two in one", "Host: a, b\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("a path", "Host: a/b\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("a user", "Host: user@a\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("a tab within", "Host: a\tb\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
        case("letters that are not ASCII", "Host: \u{e4}\r\n", "400; goes on")
            .axum("200 hello; goes on", LENIENT),
        old("none, of HTTP/1.0, which does not know it", "", "200 hello; goes on"),
        old("two, of HTTP/1.0", "Host: a\r\nHost: b\r\n", "400; goes on").axum("200 hello; goes on", LENIENT),
    ]
}

fn case(what: &'static str, host: &str, want: &'static str) -> Case<Talk> {
    Case::new(9112, "3.2", what, send(format!("GET / HTTP/1.1\r\n{host}\r\n")), want)
}

fn old(what: &'static str, host: &str, want: &'static str) -> Case<Talk> {
    let request = format!("GET / HTTP/1.0\r\nConnection: keep-alive\r\n{host}\r\n");
    Case::new(9112, "3.2", what, send(request), want)
}
