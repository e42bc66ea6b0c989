//! The fields of a head (RFC 9112 §5, RFC 9110 §5).

use conformance::{
    Case,
    http1::{Talk, send},
};

/// A row in docs/reference/worker.md.
const LARGE: &str = "A large head";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    vec![
        case("5", "no space behind the colon", "X:y\r\n", "200 hello; goes on"),
        case("5", "spaces and tabs around the value", "X: \t y\t \r\n", "200 hello; goes on"),
        case("5", "an empty value", "X:\r\n", "200 hello; goes on"),
        case("5", "the same field twice", "X: y\r\nX: z\r\n", "200 hello; goes on"),
        case("5.1", "a space before the colon", "X : y\r\n", "400; says close"),
        case("5.1", "a tab before the colon", "X\t: y\r\n", "400; says close"),
        case("5.1", "a space before the colon of a length", "Content-Length : 5\r\n", "400; says close"),
        case("5", "an empty name", ": y\r\n", "400; says close"),
        case("5", "no colon", "X\r\n", "400; says close"),
        case("5", "a space in the name", "X Y: z\r\n", "400; says close"),
        case("5", "a name that is no token", "X@(Y): z\r\n", "400; says close"),
        case("5", "a NUL in the name", "X\0: y\r\n", "400; says close"),
        case("5", "letters in the name that are not ASCII", "\u{e4}: y\r\n", "400; says close"),
        case("5.2", "a folded line", "X: y\r\n z\r\n", "400; says close"),
        case("5.2", "a line folded with a tab", "X: y\r\n\tz\r\n", "400; says close"),
        field("5.5", "a NUL in the value", "X: y\0z\r\n", "400; says close"),
        field("5.5", "a DEL in the value", "X: y\x7fz\r\n", "400; says close"),
        field("5.5", "a control letter in the value", "X: y\x01z\r\n", "400; says close"),
        field("5.5", "a bare CR in the value", "X: y\rz\r\n", "400; says close"),
        field("5.5", "a tab in the value", "X: y\tz\r\n", "200 hello; goes on"),
        field("5.5", "letters in the value that are not ASCII", "X: \u{e4}\r\n", "200 hello; goes on"),
        case("2.2", "a field that ends with a bare LF", "X: y\n", "200 hello; goes on"),
        case("2.2", "an empty line that is a bare LF", "X: y\r\n\n", "200 hello; goes on"),
        case("2.2", "a second CR at the end of a line", "X: y\r\r\n", "400; says close"),
        field("5.4", "a head of 60,000 bytes", &long(60_000), "200 hello; goes on"),
        field("5.4", "a head of 70,000 bytes", &long(70_000), "431; says close")
            .axum("200 hello; goes on", LARGE),
        field("5.4", "a head of 1,000,000 bytes", &long(1_000_000), "431; says close"),
        field("5.4", "90 fields", &"X: y\r\n".repeat(90), "200 hello; goes on"),
        field("5.4", "110 fields", &"X: y\r\n".repeat(110), "431; says close"),
    ]
}

fn long(length: usize) -> String {
    format!("X: {}\r\n", "y".repeat(length))
}

fn case(section: &'static str, what: &'static str, fields: &str, want: &'static str) -> Case<Talk> {
    Case::new(9112, section, what, talk(fields), want)
}

fn field(section: &'static str, what: &'static str, fields: &str, want: &'static str) -> Case<Talk> {
    Case::new(9110, section, what, talk(fields), want)
}

fn talk(fields: &str) -> Talk {
    send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}
