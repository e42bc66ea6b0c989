//! Flow control (RFC 9113 §5.2, §6.9).

use conformance::{
    Case,
    http2::{GET, POST, Talk, data, frame, head, kind, request, send},
};

pub(crate) fn cases() -> Vec<Case<Talk>> {
    let none = window(0);
    let get = request(1, &GET);
    let most = 0x7fff_ffff;
    vec![
        case("6.9", "more for the connection", send(more(0, 100)), "goes on"),
        case(
            "6.9",
            "more for a stream",
            send([head(1, &POST), more(1, 100), data(1, 1, "hello")].concat()),
            "1: 200 hello; goes on",
        ),
        case("6.9", "nothing more for the connection", send(more(0, 0)), "goaway PROTOCOL_ERROR; ends"),
        case(
            "6.9",
            "nothing more for a stream",
            send([head(1, &POST), more(1, 0)].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case("6.9", "the reserved bit", send(more(0, 0x8000_0001)), "goes on"),
        case(
            "6.9.1",
            "too much for the connection",
            send([more(0, most), more(0, most)].concat()),
            "goaway FLOW_CONTROL_ERROR; ends",
        ),
        case(
            "6.9.1",
            "too much for a stream",
            send([head(1, &POST), more(1, most), more(1, most)].concat()),
            "1: reset FLOW_CONTROL_ERROR; goes on",
        ),
        case(
            "6.9.1",
            "no window, and then enough",
            send([&none[..], &get].concat()).then(more(1, 100)),
            "1: 200 hello; settings; goes on",
        ),
        case(
            "6.9.1",
            "a window of one byte",
            send([&window(1)[..], &get].concat()),
            "1: 200 h; settings; goes on",
        ),
        case("6.9.1", "a window of no byte", send([&none[..], &get].concat()), "1: 200; settings; goes on"),
        case(
            "6.9.2",
            "a window that is opened later",
            send([&none[..], &get].concat()).then(window(100)),
            "1: 200 hello; settings; goes on",
        ),
        case(
            "6.9.2",
            "one that becomes negative",
            send([window(3), get.clone()].concat()).then([window(2), more(1, 2)].concat()),
            "1: 200 hell; settings; goes on",
        ),
        case(
            "6.9.2",
            "one that becomes too large",
            send([head(1, &POST), more(1, most - 65_535), window(65_536)].concat()),
            "settings; goaway FLOW_CONTROL_ERROR; ends",
        ),
    ]
}

fn more(stream: u32, bytes: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())
}

/// A window for each stream.
fn window(bytes: u32) -> Vec<u8> {
    frame(kind::SETTINGS, 0, 0, [&[0, 4][..], &bytes.to_be_bytes()].concat())
}

fn case(section: &'static str, what: &'static str, talk: Talk, want: &'static str) -> Case<Talk> {
    Case::new(9113, section, what, talk, want)
}
