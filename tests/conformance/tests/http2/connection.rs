//! The beginning of a connection, and frames that concern all of it: PING, GOAWAY, error codes (RFC 9113
//! §3.4, §6.7, §6.8, §7).

use conformance::{
    Case,
    http2::{GET, PREFACE, Talk, begin_with, flag, frame, kind, request, send},
};

/// A row in docs/reference/worker.md.
const CODE: &str = "The code of an HTTP/2 error";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    [beginnings(), pings(), goodbyes()].into_iter().flatten().collect()
}

fn beginnings() -> Vec<Case<Talk>> {
    let settings = frame(kind::SETTINGS, 0, 0, []);
    vec![
        case("3.4", "preface and settings", begin_with([PREFACE, &settings].concat()), "settings; goes on"),
        case(
            "3.4",
            "a request in the same breath",
            begin_with([PREFACE, &settings, &request(1, &GET)].concat()),
            "1: 200 hello; settings; goes on",
        ),
        case(
            "3.4",
            "settings that are not empty",
            begin_with([PREFACE, &frame(kind::SETTINGS, 0, 0, [0, 3, 0, 0, 0, 100])].concat()),
            "settings; goes on",
        ),
        case(
            "3.4",
            "no settings, but a request",
            begin_with([PREFACE, &request(1, &GET)].concat()),
            "1: 200 hello; goes on",
        )
        .lenient("An HTTP/2 client that begins without settings"),
        case(
            "3.4",
            "no settings, but a PING",
            begin_with([PREFACE, &frame(kind::PING, 0, 0, b"12345678")].concat()),
            "ping; goes on",
        )
        .lenient("An HTTP/2 client that begins without settings"),
        case(
            "3.4",
            "an acknowledgement instead of settings",
            begin_with([PREFACE, &frame(kind::SETTINGS, flag::ACK, 0, [])].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "3.4",
            "a preface that goes wrong at its end",
            begin_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r".to_vec()),
            "ends",
        ),
    ]
}

fn pings() -> Vec<Case<Talk>> {
    let ping = |flags, stream, payload: &[u8]| send(frame(kind::PING, flags, stream, payload));
    vec![
        case("6.7", "a PING", ping(0, 0, b"12345678"), "ping; goes on"),
        case(
            "6.7",
            "two of them",
            send([frame(kind::PING, 0, 0, b"12345678"), frame(kind::PING, 0, 0, b"abcdefgh")].concat()),
            "ping; ping; goes on",
        ),
        case("6.7", "an answer to none", ping(flag::ACK, 0, b"12345678"), "goes on"),
        case("6.7", "a PING with flags that it does not know", ping(0xfe, 0, b"12345678"), "ping; goes on"),
        case("6.7", "one on a stream", ping(0, 1, b"12345678"), "goaway PROTOCOL_ERROR; ends"),
        case("6.7", "one that is too short", ping(0, 0, b"123456"), "goaway PROTOCOL_ERROR; ends")
            .lenient(CODE),
        case("6.7", "one that is too long", ping(0, 0, b"123456789"), "goaway PROTOCOL_ERROR; ends")
            .lenient(CODE),
    ]
}

fn goodbyes() -> Vec<Case<Talk>> {
    let goaway = |stream, code: u32| frame(kind::GOAWAY, 0, stream, [[0; 4], code.to_be_bytes()].concat());
    let last = [frame(kind::GOAWAY, 0, 0, [0; 8]), request(1, &GET)].concat();
    vec![
        case("6.8", "GOAWAY", send(goaway(0, 0)), "goaway NO_ERROR; ends"),
        case("6.8", "a request behind it", send(last), "1: 200 hello; goaway NO_ERROR; ends"),
        case(
            "6.8",
            "one with a word for people",
            send(frame(kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye")),
            "goaway NO_ERROR; ends",
        ),
        case("6.8", "one on a stream", send(goaway(1, 0)), "goaway PROTOCOL_ERROR; ends"),
        case(
            "6.8",
            "one that is too short",
            send(frame(kind::GOAWAY, 0, 0, [0; 7])),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        case("7", "one with a code that is unknown", send(goaway(0, 0xff)), "goaway NO_ERROR; ends"),
        case(
            "7",
            "a reset with a code that is unknown",
            send([request(1, &GET), frame(kind::RST_STREAM, 0, 1, [0, 0, 0, 0xff])].concat()),
            "goes on",
        ),
        case(
            "5.4.1",
            "the stream named last of an error",
            send([request(1, &GET), frame(kind::PING, 0, 1, [0; 8])].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
    ]
}

fn case(section: &'static str, what: &'static str, talk: Talk, want: &'static str) -> Case<Talk> {
    Case::new(9113, section, what, talk, want)
}
