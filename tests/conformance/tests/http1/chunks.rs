//! Bodies in chunks (RFC 9112 §7.1).

use conformance::{
    Case,
    http1::{Talk, send},
};

/// A row in docs/reference/worker.md.
const BROKEN: &str = "A body that breaks off, or has invalid chunks";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    vec![
        case("7.1", "several", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "200 hello; goes on"),
        case("7.1", "none but the last", "0\r\n\r\n", "200; goes on"),
        case("7.1", "a last one of many zeros", "5\r\nhello\r\n000\r\n\r\n", "200 hello; goes on"),
        case("7.1", "a size that begins with zeros", "0005\r\nhello\r\n0\r\n\r\n", "200 hello; goes on"),
        case(
            "7.1",
            "a size in letters of either case",
            "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            "200 01234567890123456789; goes on",
        ),
        case("7.1.1", "an extension", "5;a=b\r\nhello\r\n0\r\n\r\n", "200 hello; goes on"),
        case(
            "7.1.1",
            "an extension with a quoted value",
            "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
            "200 hello; goes on",
        ),
        case("7.1.1", "an extension of the last one", "5\r\nhello\r\n0;a\r\n\r\n", "200 hello; goes on"),
        case(
            "7.1.1",
            "extensions without bounds",
            &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20_000)),
            "400; says close",
        ),
        case("7.1.1", "a bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "spaces behind the size", "5  \r\nhello\r\n0\r\n\r\n", "200 hello; goes on"),
        case("7.1", "a space before the size", " 5\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "no size", "\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a size that is no number", "x\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a negative size", "-5\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a size with a plus", "+5\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a size of 2^64", "10000000000000000\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a size that is too small", "4\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "a size that is too large", "6\r\nhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1", "no CRLF behind the data", "5\r\nhello0\r\n\r\n", "400; says close"),
        case("2.2", "a bare LF behind the size", "5\nhello\r\n0\r\n\r\n", "400; says close"),
        case("2.2", "a bare LF behind the data", "5\r\nhello\n0\r\n\r\n", "400; says close"),
        case("2.2", "a bare CR behind the size", "5\rhello\r\n0\r\n\r\n", "400; says close"),
        case("7.1.2", "a trailer", "5\r\nhello\r\n0\r\nX: y\r\n\r\n", "200 hello; goes on"),
        case(
            "7.1.2",
            "a trailer that may not be one",
            "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
            "200 hello; goes on",
        ),
        case("7.1.2", "a trailer without a colon", "5\r\nhello\r\n0\r\nX\r\n\r\n", "400; says close"),
        case(
            "7.1.2",
            "a trailer whose line ends with a bare LF, which does not end it",
            "5\r\nhello\r\n0\r\nX: y\n\r\n\r\n",
            "200 hello; goes on",
        ),
        case(
            "7.1.2",
            "trailers without bounds",
            &format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(5_000)),
            "400; says close",
        ),
    ]
}

fn case(section: &'static str, what: &'static str, chunks: &str, want: &'static str) -> Case<Talk> {
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let case = Case::new(9112, section, what, send(format!("{head}{chunks}")), want);
    if want == "400; says close" { case.axum("400; ends", BROKEN) } else { case }
}
