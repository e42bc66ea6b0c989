//! The first line of a request (RFC 9112 §3).

use conformance::{
    Case,
    http1::{Talk, send},
};

/// Rows in docs/reference/worker.md.
const TARGETS: &str = "An invalid target";
const LARGE: &str = "A large head";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    vec![
        case("3", "the usual one", "GET / HTTP/1.1", "200 hello; goes on"),
        case("2.3", "a version that is not supported", "GET / HTTP/2.0", "400; says close"),
        case("2.3", "a minor version that is not known", "GET / HTTP/1.2", "400; says close"),
        case("2.3", "a major version of the past", "GET / HTTP/0.9", "400; says close"),
        case("2.3", "no version", "GET /", "400; says close"),
        case("2.3", "a version in lower case", "GET / http/1.1", "400; says close"),
        case("2.3", "a version of two digits", "GET / HTTP/1.10", "400; says close"),
        case("2.3", "another protocol", "GET / RTSP/1.1", "400; says close"),
        case("3.1", "a method that is unknown", "FROB / HTTP/1.1", "405; goes on"),
        case("3.1", "a method in lower case, which is another one", "get / HTTP/1.1", "405; goes on"),
        case("3.1", "a method that is no token", "G(T / HTTP/1.1", "400; says close"),
        case("3.1", "no method", " / HTTP/1.1", "400; says close"),
        case("3.1", "a long method", &format!("{} / HTTP/1.1", "M".repeat(100)), "405; goes on"),
        case("3", "two spaces before the target", "GET  / HTTP/1.1", "400; says close"),
        case("3", "two spaces before the version", "GET /  HTTP/1.1", "400; says close"),
        case("3", "a tab instead of a space", "GET\t/ HTTP/1.1", "400; says close"),
        case("3", "a space after the version", "GET / HTTP/1.1 ", "400; says close"),
        case("3", "a space in the target", "GET /a b HTTP/1.1", "400; says close"),
        case("3.2", "no target", "GET HTTP/1.1", "400; says close"),
        case("3.2", "a target that begins with no slash", "GET a HTTP/1.1", "404; goes on").lenient(TARGETS),
        case("3.2", "a fragment", "GET /#a HTTP/1.1", "200 hello; goes on"),
        case("3.2", "a NUL in the target", "GET /\0 HTTP/1.1", "400; says close"),
        case("3.2", "a DEL in the target", "GET /\x7f HTTP/1.1", "400; says close"),
        case("3.2.1", "a query", "GET /?a=b HTTP/1.1", "200 hello; goes on"),
        case(
            "3.2.1",
            "a target of 8,000 bytes, which every server should take",
            &long(8_000),
            "404; goes on",
        ),
        case("3", "a target that is too long", &long(70_000), "431; says close")
            .axum("414; says close", LARGE),
        case("3.2.2", "the absolute form", "GET http://a/ HTTP/1.1", "200 hello; goes on"),
        case("3.2.2", "the absolute form without a path", "GET http://a HTTP/1.1", "200 hello; goes on"),
        case("3.2.2", "the absolute form of another scheme", "GET ftp://a/ HTTP/1.1", "200 hello; goes on"),
        case(
            "3.2.2",
            "the absolute form with a port that is none",
            "GET http://a:b/ HTTP/1.1",
            "200 hello; goes on",
        )
        .lenient(TARGETS),
        case(
            "3.2.3",
            "the authority form, of a server that is no proxy",
            "CONNECT a:80 HTTP/1.1",
            "404; goes on",
        ),
        case("3.2.3", "the authority form with another method", "GET a:80 HTTP/1.1", "404; goes on")
            .lenient(TARGETS),
        case("3.2.4", "the asterisk form", "OPTIONS * HTTP/1.1", "404; goes on"),
        case("3.2.4", "the asterisk form with another method", "GET * HTTP/1.1", "404; goes on")
            .lenient(TARGETS),
        line(
            "2.2",
            "a line that ends with a bare LF",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "200 hello; goes on",
        ),
        line("2.2", "a line that ends with a bare CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", "400; says close"),
        line("2.2", "an empty line before it", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 hello; goes on"),
        line("2.2", "a bare LF before it", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 hello; goes on"),
        line(
            "2.2",
            "a space before the first field",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "400; says close",
        ),
        line(
            "9.3",
            "HTTP/1.0, which has one request per connection",
            "GET / HTTP/1.0\r\n\r\n",
            "200 hello; ends",
        ),
    ]
}

fn long(length: usize) -> String {
    format!("GET /{} HTTP/1.1", "a".repeat(length - 1))
}

/// This line, and the one required field.
fn case(section: &'static str, what: &'static str, first: &str, want: &'static str) -> Case<Talk> {
    line(section, what, &format!("{first}\r\nHost: a\r\n\r\n"), want)
}

fn line(section: &'static str, what: &'static str, head: &str, want: &'static str) -> Case<Talk> {
    Case::new(9112, section, what, send(head), want)
}
