//! Single frames: size, padding, flags, and the stream that they belong to (RFC 9113 §4, §5.5, §6).

use conformance::{
    Case,
    http2::{GET, POST, Talk, data, fields, flag, frame, head, kind, request, send},
};

/// A row in docs/reference/worker.md.
const LARGE: &str = "A large head";
/// The largest payload by default (RFC 9113 §4.2).
const LARGEST: usize = 16_384;

/// A row in docs/reference/worker.md.
const CODE: &str = "The code of an HTTP/2 error";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    [formats(), sizes(), paddings(), priorities(), continuations()].into_iter().flatten().collect()
}

fn formats() -> Vec<Case<Talk>> {
    let odd = 0x8000_0001;
    vec![
        case("4.1", "a type that is unknown", frame(0x16, 0, 0, [0; 8]), "goes on"),
        case(
            "4.1",
            "one on a stream",
            [request(1, &GET), frame(0x16, 0, 1, [0; 8])].concat(),
            "1: 200 hello; goes on",
        ),
        case(
            "5.5",
            "one between two pieces of a head",
            [begun(1), frame(0x16, 0, 1, [0; 8])].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "4.1",
            "flags that a type does not have",
            frame(kind::HEADERS, 0xd2 | 5, 1, fields(&GET)),
            "1: 200 hello; goes on",
        ),
        case("4.1", "the reserved bit", frame(kind::HEADERS, 5, odd, fields(&GET)), "1: 200 hello; goes on"),
        case("6.1", "DATA on the connection", data(0, 0, "hello"), "goaway PROTOCOL_ERROR; ends"),
        case(
            "6.2",
            "HEADERS on the connection",
            frame(kind::HEADERS, 5, 0, fields(&GET)),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.3",
            "PRIORITY on the connection",
            frame(kind::PRIORITY, 0, 0, [0, 0, 0, 0, 1]),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.4",
            "RST_STREAM on the connection",
            frame(kind::RST_STREAM, 0, 0, [0, 0, 0, 8]),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.10",
            "CONTINUATION on the connection",
            frame(kind::CONTINUATION, 4, 0, fields(&GET)),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.6",
            "PUSH_PROMISE of a client",
            [request(1, &GET), promise()].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
    ]
}

fn sizes() -> Vec<Case<Talk>> {
    let small = |kind, payload: &[u8]| [head(1, &POST), frame(kind, 0, 1, payload)].concat();
    let whole = |length| [head(1, &POST), data(flag::END_STREAM, 1, vec![b'x'; length])].concat();
    let fields = [fields(&GET), vec![0; LARGEST]].concat();
    vec![
        case(
            "4.2",
            "DATA of the largest size",
            [head(1, &deaf()), data(1, 1, vec![0; LARGEST])].concat(),
            "1: 200 deaf; goes on",
        ),
        case("4.2", "DATA that is larger", whole(LARGEST + 1), "goaway FRAME_SIZE_ERROR; ends"),
        case(
            "4.2",
            "HEADERS that are larger",
            frame(kind::HEADERS, 5, 1, fields),
            "goaway FRAME_SIZE_ERROR; ends",
        ),
        case(
            "4.2",
            "an unknown frame that is larger",
            frame(0x16, 0, 0, vec![0; LARGEST + 1]),
            "goaway FRAME_SIZE_ERROR; ends",
        ),
        case(
            "6.1",
            "DATA without a byte",
            [head(1, &POST), data(0, 1, ""), data(1, 1, "hello")].concat(),
            "1: 200 hello; goes on",
        ),
        case(
            "6.3",
            "PRIORITY that is too short",
            frame(kind::PRIORITY, 0, 1, [0, 0, 0, 0]),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.3",
            "PRIORITY that is too long",
            frame(kind::PRIORITY, 0, 1, [0; 6]),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.4",
            "RST_STREAM that is too short",
            small(kind::RST_STREAM, &[0, 0, 0]),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        case(
            "6.4",
            "RST_STREAM that is too long",
            small(kind::RST_STREAM, &[0; 5]),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        case(
            "6.9",
            "WINDOW_UPDATE that is too short",
            small(kind::WINDOW_UPDATE, &[0, 0, 1]),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        case(
            "6.9",
            "WINDOW_UPDATE that is too long",
            small(kind::WINDOW_UPDATE, &[0, 0, 0, 0, 1]),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
    ]
}

fn paddings() -> Vec<Case<Talk>> {
    let post = |flags, payload: &[u8]| [head(1, &POST), data(flags, 1, payload)].concat();
    let get = |payload: Vec<u8>| frame(kind::HEADERS, 5 | flag::PADDED, 1, payload);
    vec![
        case("6.1", "padded DATA", post(1 | flag::PADDED, b"\x03hello\0\0\0"), "1: 200 hello; goes on"),
        case("6.1", "DATA of padding alone", post(1 | flag::PADDED, b"\x03\0\0\0"), "1: 200; goes on"),
        case(
            "6.1",
            "DATA with more padding than there is",
            post(1 | flag::PADDED, b"\x06hello"),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case("6.1", "padded DATA without a byte", post(1 | flag::PADDED, b""), "goaway PROTOCOL_ERROR; ends"),
        case(
            "6.2",
            "padded HEADERS",
            get([vec![3], fields(&GET), vec![0; 3]].concat()),
            "1: 200 hello; goes on",
        ),
        case(
            "6.2",
            "HEADERS with more padding than there is",
            get([vec![200], fields(&GET)].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
    ]
}

fn priorities() -> Vec<Case<Talk>> {
    let depends = |stream: u32| [&stream.to_be_bytes()[..], &[15]].concat();
    let get = |of| frame(kind::HEADERS, 5 | flag::PRIORITY, 1, [depends(of), fields(&GET)].concat());
    let both = [vec![3], depends(0), fields(&GET), vec![0; 3]].concat();
    vec![
        case("6.2", "HEADERS with a priority", get(0), "1: 200 hello; goes on"),
        case(
            "6.2",
            "HEADERS with a priority and padding",
            frame(kind::HEADERS, 0x2d, 1, both),
            "1: 200 hello; goes on",
        ),
        case("5.3.1", "HEADERS that depend on themselves", get(1), "1: reset PROTOCOL_ERROR; goes on"),
        case(
            "5.3.1",
            "PRIORITY that depends on itself",
            frame(kind::PRIORITY, 0, 1, depends(1)),
            "1: reset PROTOCOL_ERROR; goes on",
        ),
        case(
            "6.3",
            "PRIORITY of an idle stream",
            [frame(kind::PRIORITY, 0, 5, depends(0)), request(1, &GET)].concat(),
            "1: 200 hello; goes on",
        ),
        case(
            "6.3",
            "PRIORITY of a stream in use",
            [head(1, &POST), frame(kind::PRIORITY, 0, 1, depends(0)), data(1, 1, "hello")].concat(),
            "1: 200 hello; goes on",
        ),
    ]
}

fn continuations() -> Vec<Case<Talk>> {
    let more = |flags, stream| frame(kind::CONTINUATION, flags, stream, fields(&[("x", "y")]));
    let end = flag::END_HEADERS;
    vec![
        case("6.10", "a head in two pieces", [begun(1), more(end, 1)].concat(), "1: 200 hello; goes on"),
        case(
            "6.10",
            "a head in four",
            [begun(1), more(0, 1), more(0, 1), more(end, 1)].concat(),
            "1: 200 hello; goes on",
        ),
        case(
            "6.10",
            "a piece without a byte",
            [begun(1), frame(kind::CONTINUATION, end, 1, [])].concat(),
            "1: 200 hello; goes on",
        ),
        case(
            "6.10",
            "DATA between two pieces",
            [begun(1), data(0, 1, "x"), more(end, 1)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.10",
            "a PING between two pieces",
            [begun(1), frame(kind::PING, 0, 0, [0; 8]), more(end, 1)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.2",
            "HEADERS of another stream between two pieces",
            [begun(1), request(3, &GET), more(end, 1)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.10",
            "a piece of another stream",
            [begun(1), more(end, 3)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.10",
            "a piece behind a whole head",
            [head(1, &POST), more(end, 1)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.10",
            "a piece behind the last piece",
            [begun(1), more(end, 1), more(end, 1)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "6.10",
            "a piece behind DATA",
            [head(1, &POST), data(0, 1, "x"), more(end, 1)].concat(),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case("8.2", "a head of 20,000 bytes", large(1), "1: 200 hello; goes on")
            .axum("1: 431; goes on", LARGE),
        case("8.2", "a head of 60,000 bytes", large(3), "1: 200 hello; goes on")
            .axum("1: 431; goes on", LARGE),
        case("8.2", "a head of 80,000 bytes", large(4), "1: 431; goes on"),
        case(
            "6.10",
            "pieces without end",
            [begun(1), more(0, 1).repeat(5_000)].concat(),
            "goaway ENHANCE_YOUR_CALM; ends",
        ),
    ]
}

/// A head in this many pieces of 20,000 bytes.
fn large(pieces: usize) -> Vec<u8> {
    // The size of a field is that of its name and value, plus 32 (RFC 9113 §6.5.2).
    let fields = fields(&[("x", &"y".repeat(67))]).repeat(200);
    let middle = frame(kind::CONTINUATION, 0, 1, fields).repeat(pieces);
    [begun(1), middle, frame(kind::CONTINUATION, flag::END_HEADERS, 1, [])].concat()
}

/// The first piece of a head.
fn begun(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM, stream, fields(&GET))
}

fn promise() -> Vec<u8> {
    frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [vec![0, 0, 0, 2], fields(&GET)].concat())
}

fn deaf() -> [(&'static str, &'static str); 4] {
    let mut deaf = POST;
    deaf[2].1 = "/deaf";
    deaf
}

fn case(section: &'static str, what: &'static str, frames: Vec<u8>, want: &'static str) -> Case<Talk> {
    Case::new(9113, section, what, send(frames), want)
}
