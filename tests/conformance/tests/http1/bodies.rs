//! How long a body is (RFC 9112 §6). Two servers in a row must agree on it.

use conformance::{
    Case,
    http1::{Talk, send},
};

/// Rows in docs/reference/worker.md.
const CODINGS: &str = "`Transfer-Encoding` other than just `chunked`";
const BROKEN: &str = "A body that breaks off, or has invalid chunks";
const EARLY: &str = "A response before the end of an upload";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    vec![
        case("6.3", "no length, which is no body", "", "", "200; goes on"),
        case("6.2", "a length", "Content-Length: 5\r\n", "hello", "200 hello; goes on"),
        case("6.2", "a length of 0", "Content-Length: 0\r\n", "", "200; goes on"),
        case(
            "6.2",
            "a length that begins with zeros",
            "Content-Length: 005\r\n",
            "hello",
            "200 hello; goes on",
        ),
        case(
            "6.3",
            "the same length twice",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "hello",
            "200 hello; goes on",
        ),
        case(
            "6.3",
            "the same length twice, in one field",
            "Content-Length: 5, 5\r\n",
            "hello",
            "400; says close",
        ),
        case("6.3", "two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello", "400; says close"),
        case("6.3", "two lengths in one field", "Content-Length: 5, 6\r\n", "hello", "400; says close"),
        case("6.3", "a negative length", "Content-Length: -5\r\n", "hello", "400; says close"),
        case("6.3", "a length with a plus", "Content-Length: +5\r\n", "hello", "400; says close"),
        case("6.3", "a hexadecimal length", "Content-Length: 0x5\r\n", "hello", "400; says close"),
        case("6.3", "a length with a fraction", "Content-Length: 5.0\r\n", "hello", "400; says close"),
        case("6.3", "a length with a space within", "Content-Length: 1 0\r\n", "hello", "400; says close"),
        case("6.3", "no number", "Content-Length: five\r\n", "hello", "400; says close"),
        case("6.3", "an empty length", "Content-Length:\r\n", "hello", "400; says close"),
        case(
            "6.3",
            "a length of 2^64",
            "Content-Length: 18446744073709551616\r\n",
            "hello",
            "400; says close",
        ),
        case(
            "6.3",
            "a length of 2^64 - 1",
            "Content-Length: 18446744073709551615\r\n",
            "hello",
            "431; says close",
        ),
        case("7.1", "chunks", CHUNKED, "5\r\nhello\r\n0\r\n\r\n", "200 hello; goes on"),
        case(
            "7",
            "another case",
            "Transfer-Encoding: CHUNKED\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "200 hello; goes on",
        ),
        case("6.1", "chunks and a length", &both("5"), "5\r\nhello\r\n0\r\n\r\n", "200 hello; says close"),
        case("6.1", "chunks and a length that is none", &both("x"), "0\r\n\r\n", "200; says close"),
        case(
            "6.3",
            "a length and then chunks",
            LENGTH_FIRST,
            "5\r\nhello\r\n0\r\n\r\n",
            "200 hello; says close",
        ),
        case("6.1", "a coding that is unknown", "Transfer-Encoding: foo\r\n", "hello", "400; says close"),
        case("6.1", "no coding", "Transfer-Encoding: identity\r\n", "hello", "400; says close"),
        case("6.1", "an empty one", "Transfer-Encoding:\r\n", "hello", "400; says close"),
        case(
            "6.3",
            "chunked, but not in the end",
            "Transfer-Encoding: chunked, gzip\r\n",
            "0\r\n\r\n",
            "400; says close",
        ),
        case("6.1", "chunked twice", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n", "501; goes on")
            .axum("200; goes on", CODINGS),
        case(
            "6.1",
            "another coding before it",
            "Transfer-Encoding: gzip, chunked\r\n",
            "0\r\n\r\n",
            "501; goes on",
        )
        .axum("200; goes on", CODINGS),
        case("6.1", "chunked in two fields", &CHUNKED.repeat(2), "0\r\n\r\n", "501; goes on")
            .axum("200; goes on", CODINGS),
        case("7", "quoted", "Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n", "400; says close"),
        case(
            "7",
            "with a letter in front that cannot be seen",
            "Transfer-Encoding: \x0bchunked\r\n",
            "0\r\n\r\n",
            "400; says close",
        ),
        case(
            "5.1",
            "with a space before the colon",
            "Transfer-Encoding : chunked\r\n",
            "0\r\n\r\n",
            "400; says close",
        ),
        case("6.1", "an almost right one", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", "400; says close"),
        Case::new(9112, "6.1", "chunks of HTTP/1.0, which does not know them", send(OLD), "400; says close"),
        Case::new(9110, "9.3.1", "a body of a GET", send(GET), "200 hello; goes on"),
        Case::new(
            9112,
            "6.3",
            "a body that ends too early",
            send(post("Content-Length: 9\r\n", "hello")).end(),
            "400; says close",
        )
        .axum("400; ends", BROKEN),
        Case::new(
            9112,
            "8",
            "chunks that end too early",
            send(post(CHUNKED, "5\r\nhello\r\n")).end(),
            "400; says close",
        )
        .axum("400; ends", BROKEN),
        Case::new(9112, "9.3", "a body that is not read", send(deaf(5_000)), "200 deaf; goes on"),
        Case::new(9112, "9.6", "a large body that is not read", send(deaf(200_000)), "200 deaf; says close")
            .axum("200 deaf; ends", EARLY),
    ]
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const LENGTH_FIRST: &str = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
const OLD: &[u8] = b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

fn both(length: &str) -> String {
    format!("{CHUNKED}Content-Length: {length}\r\n")
}

fn deaf(length: usize) -> String {
    format!("POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn case(
    section: &'static str,
    what: &'static str,
    fields: &str,
    body: &str,
    want: &'static str,
) -> Case<Talk> {
    Case::new(9112, section, what, send(post(fields, body)), want)
}
