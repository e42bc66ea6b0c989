//! Whether a connection continues (RFC 9112 §9), and other settings between its two ends (RFC 9110 §7, §10).

use conformance::{
    Case,
    http1::{Talk, send},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    [persistence(), ends(), expectations(), others()].into_iter().flatten().collect()
}

fn persistence() -> Vec<Case<Talk>> {
    vec![
        case(
            "9.3.2",
            "three requests in one breath",
            send(GET.repeat(3)),
            "200 hello, 200 hello, 200 hello; goes on",
        ),
        case("9.3", "one after another", send(GET).then(GET), "200 hello, 200 hello; goes on"),
        case("9.6", "close", get("Connection: close"), "200 hello; says close"),
        case("9.6", "close in another case", get("Connection: CLOSE"), "200 hello; says close"),
        case("9.6", "close among others", get("Connection: x, close"), "200 hello; says close"),
        case(
            "9.6",
            "what follows a request with close",
            send(format!("{}{GET}", text("Connection: close"))),
            "200 hello; says close",
        ),
        case(
            "9.3",
            "keep-alive, which goes without saying",
            get("Connection: keep-alive"),
            "200 hello; goes on",
        ),
        case("9.3", "HTTP/1.0 that asks for it", send(OLD), "200 hello; goes on"),
        case("9.3", "HTTP/1.0 that asks for it twice", send(OLD.repeat(2)), "200 hello, 200 hello; goes on"),
        case("9.3", "HTTP/1.0 that does not", send("GET / HTTP/1.0\r\n\r\n"), "200 hello; ends"),
        case(
            "9.3",
            "HTTP/1.0 that says close",
            send("GET / HTTP/1.0\r\nConnection: close\r\n\r\n"),
            "200 hello; ends",
        ),
        case("2.2", "an empty line behind a body", send(post("", "hello\r\n")), "200 hello; goes on"),
        case(
            "2.2",
            "three empty lines behind a request",
            send(format!("{GET}\r\n\r\n\r\n")),
            "200 hello; goes on",
        ),
    ]
}

fn ends() -> Vec<Case<Talk>> {
    let hello = "200 hello; ends";
    let three = "200 hello, 200 hello, 200 hello; ends";
    let answered = [
        case("9.6", "a client that ends its half behind a request", send(GET).end(), hello),
        case("9.6", "a client that ends its half behind three", send(GET.repeat(3)).end(), three),
        case("9.6", "a client that ends its half behind a body", send(post("", "hello")).end(), hello),
    ];
    let answered = answered.map(|case| case.axum_varies("A client that ends its half after a request"));
    let silent = [
        case("8", "a client that ends its half in a head", send("GET / HTTP/1.1\r\nHo").end(), "ends"),
        case("9.6", "a client that says nothing and ends", send("").end(), "ends"),
    ];
    answered.into_iter().chain(silent).collect()
}

fn expectations() -> Vec<Case<Talk>> {
    let expect = "Expect: 100-continue\r\n";
    vec![
        field(
            "10.1.1",
            "a body that waits to be asked for",
            send(post(expect, "")).then("hello"),
            "100, 200 hello; goes on",
        ),
        field(
            "10.1.1",
            "one that waits, and is not asked for it",
            send(deaf(expect)),
            "200 deaf; says close",
        )
        .axum("200 deaf, 400; says close", "A response before the end of an upload"),
        field("10.1.1", "another expectation", send(post("Expect: foo\r\n", "hello")), "200 hello; goes on"),
        field(
            "10.1.1",
            "one of HTTP/1.0, which is ignored",
            send(post(expect, "hello").replace("1.1", "1.0")),
            "200 hello; ends",
        ),
    ]
}

fn others() -> Vec<Case<Talk>> {
    vec![
        field("9.3.2", "HEAD, which has no body", send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), "200; goes on"),
        field(
            "9.3.2",
            "HEAD of what is not there",
            send("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n"),
            "404; goes on",
        ),
        field("15.5.5", "what is not there", send("GET /none HTTP/1.1\r\nHost: a\r\n\r\n"), "404; goes on"),
        field(
            "15.5.6",
            "a method that is not allowed",
            send("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"),
            "405; goes on",
        ),
        field("9.3.8", "TRACE", send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), "405; goes on"),
        field(
            "7.8",
            "an upgrade that is not wanted",
            get("Connection: Upgrade\r\nUpgrade: foo"),
            "200 hello; goes on",
        ),
        field(
            "7.8",
            "an upgrade to h2c, which is no longer one",
            get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
            "200 hello; goes on",
        ),
        field("7.6.1", "a connection option that is unknown", get("Connection: foo"), "200 hello; goes on"),
        field("10.1.4", "TE", get("Connection: TE\r\nTE: trailers"), "200 hello; goes on"),
    ]
}

fn text(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn get(fields: &str) -> Talk {
    send(text(fields))
}

/// A body of five bytes.
fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 5\r\n\r\n{body}")
}

fn deaf(fields: &str) -> String {
    format!("POST /deaf HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 5\r\n\r\n")
}

fn case(section: &'static str, what: &'static str, talk: Talk, want: &'static str) -> Case<Talk> {
    Case::new(9112, section, what, talk, want)
}

fn field(section: &'static str, what: &'static str, talk: Talk, want: &'static str) -> Case<Talk> {
    Case::new(9110, section, what, talk, want)
}
