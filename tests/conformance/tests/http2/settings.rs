//! SETTINGS (RFC 9113 §6.5).

use conformance::{
    Case,
    http2::{GET, Talk, flag, frame, kind, request, send},
};

/// A row in docs/reference/worker.md.
const CODE: &str = "The code of an HTTP/2 error";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    vec![
        case("6.5", "none", vec![], "settings; goes on"),
        case("6.5.2", "a smaller table of fields", set(1, 0), "settings; goes on"),
        case("6.5.2", "a larger table of fields", set(1, 1 << 20), "settings; goes on"),
        case("6.5.2", "no push", set(2, 0), "settings; goes on"),
        case("6.5.2", "a push that is neither", set(2, 2), "goaway PROTOCOL_ERROR; ends"),
        case("6.5.2", "no streams of the server", set(3, 0), "settings; goes on"),
        case("6.5.2", "the largest window", set(4, 0x7fff_ffff), "settings; goes on"),
        case("6.5.2", "a larger window", set(4, 0x8000_0000), "goaway PROTOCOL_ERROR; ends").lenient(CODE),
        case("6.5.2", "the smallest frame size", set(5, 1 << 14), "settings; goes on"),
        case("6.5.2", "a smaller frame size", set(5, (1 << 14) - 1), "goaway PROTOCOL_ERROR; ends"),
        case("6.5.2", "the largest frame size", set(5, (1 << 24) - 1), "settings; goes on"),
        case("6.5.2", "a larger frame size", set(5, 1 << 24), "goaway PROTOCOL_ERROR; ends"),
        case("6.5.2", "heads of no size", set(6, 0), "settings; goes on"),
        case("6.5.2", "one that is unknown", set(0xff, 1), "settings; goes on"),
        case(
            "6.5.3",
            "the same twice, of which the last one holds",
            [set(4, 0), set(4, 100)].concat(),
            "settings; goes on",
        ),
        frames("6.5.3", "twice", frame(kind::SETTINGS, 0, 0, []).repeat(2), "settings; goes on"),
        frames("6.5", "on a stream", frame(kind::SETTINGS, 0, 1, []), "goaway PROTOCOL_ERROR; ends"),
        frames(
            "6.5",
            "an acknowledgement that is not empty",
            frame(kind::SETTINGS, flag::ACK, 0, [0; 6]),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        frames(
            "6.5",
            "no multiple of six bytes",
            frame(kind::SETTINGS, 0, 0, [0, 3, 0]),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        frames(
            "6.5.3",
            "an acknowledgement of none",
            frame(kind::SETTINGS, flag::ACK, 0, []),
            "goaway PROTOCOL_ERROR; ends",
        ),
        frames(
            "6.5.3",
            "between two requests",
            [request(1, &GET), frame(kind::SETTINGS, 0, 0, []), request(3, &GET)].concat(),
            "1..3: 200 hello; settings; goes on",
        ),
    ]
}

fn set(identifier: u16, value: u32) -> Vec<u8> {
    [&identifier.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

fn case(section: &'static str, what: &'static str, settings: Vec<u8>, want: &'static str) -> Case<Talk> {
    frames(section, what, frame(kind::SETTINGS, 0, 0, settings), want)
}

fn frames(section: &'static str, what: &'static str, frames: Vec<u8>, want: &'static str) -> Case<Talk> {
    Case::new(9113, section, what, send(frames), want)
}
