//! Requests: their fields, bodies and trailers (RFC 9113 §8).

use conformance::{
    Case,
    http2::{GET, POST, Talk, data, fields, frame, head, kind, request, send},
};

/// A row in docs/reference/worker.md.
const SPACES: &str = "Spaces around a value in HTTP/2";
const MALFORMED: &str = "1: reset PROTOCOL_ERROR; goes on";
const FINE: &str = "1: 200 hello; goes on";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    [exchanges(), named(), pseudo(), lengths(), trailers()].into_iter().flatten().collect()
}

fn exchanges() -> Vec<Case<Talk>> {
    let with = |method: &'static str, path: &'static str| {
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")]
    };
    vec![
        case("8.1", "GET", request(1, &GET), FINE),
        case(
            "8.1",
            "three at once",
            [request(1, &GET), request(3, &GET), request(5, &GET)].concat(),
            "1..5: 200 hello; goes on",
        ),
        case("8.1", "HEAD", request(1, &with("HEAD", "/")), "1: 200; goes on"),
        case("8.1", "POST", [head(1, &POST), data(1, 1, "hello")].concat(), FINE),
        case("8.1", "POST without a body", request(1, &POST), "1: 200; goes on"),
        case("8.1", "POST in pieces", [head(1, &POST), data(0, 1, "he"), data(1, 1, "llo")].concat(), FINE),
        case(
            "8.1",
            "a body that is not read",
            [head(1, &with("POST", "/deaf")), data(1, 1, "hello")].concat(),
            "1: 200 deaf; goes on",
        ),
        case(
            "8.1",
            "a body that is not read and does not end",
            [head(1, &with("POST", "/deaf")), data(0, 1, "hello")].concat(),
            "1: 200 deaf reset NO_ERROR; goes on",
        ),
        case("8.1", "what is not there", request(1, &with("GET", "/none")), "1: 404; goes on"),
        case("8.1", "a method that is not allowed", request(1, &with("DELETE", "/")), "1: 405; goes on"),
        case("8.3.1", "the asterisk", request(1, &with("OPTIONS", "*")), "1: 404; goes on"),
        case(
            "8.5",
            "CONNECT, of a server that is no proxy",
            head(1, &[(":method", "CONNECT"), (":authority", "a:80")]),
            "1: 404 reset NO_ERROR; goes on",
        ),
        case("8.5", "CONNECT with a path", head(1, &with("CONNECT", "/")), MALFORMED),
    ]
}

fn named() -> Vec<Case<Talk>> {
    vec![
        more("8.2", "a field", ("x", "y"), FINE),
        more("8.2.1", "a name in upper case", ("X", "y"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "an empty name", ("", "y"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "a space in the name", ("x y", "z"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "a colon in the name", ("x:y", "z"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "a NUL in the value", ("x", "y\0z"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "a CR in the value", ("x", "y\rz"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "an LF in the value", ("x", "y\nz"), "goaway PROTOCOL_ERROR; ends"),
        more("8.2.1", "a space before the value", ("x", " y"), "1: 200 hello; goes on").lenient(SPACES),
        more("8.2.1", "a space behind the value", ("x", "y "), "1: 200 hello; goes on").lenient(SPACES),
        more("8.2.2", "connection", ("connection", "keep-alive"), MALFORMED),
        more("8.2.2", "keep-alive", ("keep-alive", "5"), MALFORMED),
        more("8.2.2", "proxy-connection", ("proxy-connection", "keep-alive"), MALFORMED),
        more("8.2.2", "transfer-encoding", ("transfer-encoding", "chunked"), MALFORMED),
        more("8.2.2", "upgrade", ("upgrade", "foo"), MALFORMED),
        more("8.2.2", "te with trailers", ("te", "trailers"), FINE),
        more("8.2.2", "te with anything else", ("te", "gzip"), MALFORMED),
        more("8.2.3", "a cookie in two fields", ("cookie", "a=b"), FINE),
    ]
}

fn pseudo() -> Vec<Case<Talk>> {
    let [method, scheme, path, authority] = GET;
    let twice = |field| request(1, &[method, scheme, path, authority, field]);
    vec![
        case(
            "8.3",
            "one behind a field",
            request(1, &[method, scheme, authority, ("x", "y"), path]),
            MALFORMED,
        ),
        case("8.3", "one that is unknown", twice((":test", "x")), "goaway PROTOCOL_ERROR; ends"),
        case("8.3", "one of an answer", twice((":status", "200")), MALFORMED),
        case("8.3.1", "no method", request(1, &[scheme, path, authority]), MALFORMED),
        case("8.3.1", "no scheme", request(1, &[method, path, authority]), MALFORMED),
        case("8.3.1", "no path", request(1, &[method, scheme, authority]), MALFORMED),
        case("8.3.1", "no authority", request(1, &[method, scheme, path]), FINE),
        case("8.3.1", "no authority, but a host", request(1, &[method, scheme, path, ("host", "a")]), FINE),
        case("8.3.1", "an authority and another host", twice(("host", "b")), FINE),
        case(
            "8.3.1",
            "an authority with a user",
            request(1, &[method, scheme, path, (":authority", "u@a")]),
            "1: 200 hello; goes on",
        )
        .lenient("An authority with a user"),
        case(
            "8.3.1",
            "an authority that is none",
            request(1, &[method, scheme, path, (":authority", "a b")]),
            MALFORMED,
        ),
        case("8.3.1", "an empty path", request(1, &[method, scheme, (":path", ""), authority]), MALFORMED),
        case(
            "8.3.1",
            "a path without a slash",
            request(1, &[method, scheme, (":path", "a"), authority]),
            MALFORMED,
        ),
        case(
            "8.3.1",
            "an empty method",
            request(1, &[(":method", ""), scheme, path, authority]),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case("8.3.1", "two methods", twice(method), MALFORMED),
        case("8.3.1", "two schemes", twice(scheme), MALFORMED),
        case("8.3.1", "two paths", twice(path), MALFORMED),
        case("8.3.1", "two authorities", twice(authority), MALFORMED),
    ]
}

fn lengths() -> Vec<Case<Talk>> {
    let post = |length, body: &[u8]| [with(length), body.to_vec()].concat();
    vec![
        case("8.1.1", "the right length", post("5", &data(1, 1, "hello")), FINE),
        case(
            "8.1.1",
            "the right length of two pieces",
            post("5", &[data(0, 1, "he"), data(1, 1, "llo")].concat()),
            FINE,
        ),
        case("8.1.1", "more than the length", post("4", &data(1, 1, "hello")), MALFORMED),
        case(
            "8.1.1",
            "more than the length in two pieces",
            post("4", &[data(0, 1, "he"), data(1, 1, "llo")].concat()),
            MALFORMED,
        ),
        case("8.1.1", "less than the length", post("6", &data(1, 1, "hello")), MALFORMED),
        case("8.1.1", "a length that is none", post("x", &data(1, 1, "hello")), MALFORMED),
    ]
}

fn trailers() -> Vec<Case<Talk>> {
    let end = |flags, last: &[(&str, &str)]| {
        [head(1, &POST), data(0, 1, "hello"), frame(kind::HEADERS, flags, 1, fields(last))].concat()
    };
    vec![
        case("8.1", "a trailer", end(5, &[("x", "y")]), FINE),
        case("8.1", "a second head that does not end the stream", end(4, &[("x", "y")]), MALFORMED),
        case("8.3", "a pseudo-header field in a trailer", end(5, &[(":path", "/")]), "1: 200 hello; goes on")
            .lenient("A pseudo-header field in a trailer"),
        case("8.1", "a trailer in upper case", end(5, &[("X", "y")]), "goaway PROTOCOL_ERROR; ends"),
    ]
}

/// The head of a POST with this length.
fn with(length: &'static str) -> Vec<u8> {
    let [method, scheme, path, authority] = POST;
    head(1, &[method, scheme, path, authority, ("content-length", length)])
}

/// A GET with this additional field.
fn more(section: &'static str, what: &'static str, field: (&str, &str), want: &'static str) -> Case<Talk> {
    let [method, scheme, path, authority] = GET;
    case(section, what, request(1, &[method, scheme, path, authority, field]), want)
}

fn case(section: &'static str, what: &'static str, frames: Vec<u8>, want: &'static str) -> Case<Talk> {
    Case::new(9113, section, what, send(frames), want)
}
