//! The states of streams and their numbers (RFC 9113 §5.1).

use conformance::{
    Case,
    http2::{GET, POST, Talk, data, fields, flag, frame, head, kind, request, send},
};

/// A row in docs/reference/worker.md.
const CODE: &str = "The code of an HTTP/2 error";

pub(crate) fn cases() -> Vec<Case<Talk>> {
    [idle(), half_closed(), closed(), numbers(), many()].into_iter().flatten().collect()
}

fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, [0, 0, 0, 8])
}

fn window(stream: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, [0, 0, 0, 100])
}

fn continuation(stream: u32) -> Vec<u8> {
    frame(kind::CONTINUATION, flag::END_HEADERS, stream, fields(&GET))
}

fn idle() -> Vec<Case<Talk>> {
    vec![
        case("5.1", "idle: DATA", send(data(1, 1, "x")), "goaway PROTOCOL_ERROR; ends"),
        case("5.1", "idle: RST_STREAM", send(reset(1)), "goaway PROTOCOL_ERROR; ends"),
        case("5.1", "idle: WINDOW_UPDATE", send(window(1)), "goaway PROTOCOL_ERROR; ends"),
        case("5.1", "idle: CONTINUATION", send(continuation(1)), "goaway PROTOCOL_ERROR; ends"),
    ]
}

/// The client has ended its half, and the response has not arrived yet.
fn half_closed() -> Vec<Case<Talk>> {
    let never = request(1, &never());
    vec![
        case(
            "5.1",
            "half closed: DATA",
            send([&never[..], &data(1, 1, "x")].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "5.1",
            "half closed: HEADERS",
            send([&never[..], &request(1, &GET)].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "5.1",
            "half closed: CONTINUATION",
            send([&never[..], &continuation(1)].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case("5.1", "half closed: WINDOW_UPDATE", send([&never[..], &window(1)].concat()), "goes on"),
        case(
            "5.1",
            "half closed: PRIORITY",
            send([&never[..], &frame(kind::PRIORITY, 0, 1, [0, 0, 0, 0, 1])].concat()),
            "goes on",
        ),
        case("5.1", "half closed: RST_STREAM", send([&never[..], &reset(1)].concat()), "goes on"),
    ]
}

fn closed() -> Vec<Case<Talk>> {
    let whole = || send(request(1, &GET));
    vec![
        case(
            "5.1",
            "answered: DATA",
            whole().then(data(1, 1, "x")),
            "1: 200 hello reset STREAM_CLOSED; goes on",
        ),
        case(
            "5.1",
            "answered: HEADERS",
            whole().then(request(1, &GET)),
            "1: 200 hello; goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        case(
            "5.1",
            "answered: CONTINUATION",
            whole().then(continuation(1)),
            "1: 200 hello; goaway PROTOCOL_ERROR; ends",
        ),
        case("5.1", "answered: WINDOW_UPDATE", whole().then(window(1)), "1: 200 hello; goes on"),
        case(
            "5.1",
            "answered: PRIORITY",
            whole().then(frame(kind::PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
            "1: 200 hello; goes on",
        ),
        case("5.1", "answered: RST_STREAM", whole().then(reset(1)), "1: 200 hello; goes on"),
        case(
            "5.1",
            "reset: DATA",
            send([request(1, &never()), reset(1), data(1, 1, "x")].concat()),
            "1: reset STREAM_CLOSED; goes on",
        ),
        case(
            "5.1",
            "reset: HEADERS",
            send([request(1, &never()), reset(1), request(1, &GET)].concat()),
            "goaway PROTOCOL_ERROR; ends",
        )
        .lenient(CODE),
        case(
            "5.1",
            "reset: CONTINUATION",
            send([request(1, &never()), reset(1), continuation(1)].concat()),
            "goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "5.4.2",
            "reset: another stream",
            send([request(1, &never()), reset(1), request(3, &GET)].concat()),
            "3: 200 hello; goes on",
        ),
    ]
}

fn numbers() -> Vec<Case<Talk>> {
    vec![
        case("5.1.1", "an even one", send(request(2, &GET)), "goaway PROTOCOL_ERROR; ends"),
        case(
            "5.1.1",
            "a smaller one than before",
            send(request(5, &GET)).then(request(3, &GET)),
            "5: 200 hello; goaway PROTOCOL_ERROR; ends",
        ),
        case(
            "5.1.1",
            "one that leaves some out",
            send([request(1, &GET), request(99, &GET)].concat()),
            "1: 200 hello; 99: 200 hello; goes on",
        ),
        case(
            "5.1.1",
            "WINDOW_UPDATE of one that was left out",
            send([request(5, &GET), window(3)].concat()),
            "5: 200 hello; goes on",
        ),
    ]
}

/// More requests at once than either server has announced.
fn many() -> Vec<Case<Talk>> {
    let numbers = || (0..201).map(|number| 2 * number + 1);
    let open: Vec<u8> = numbers().flat_map(|stream| head(stream, &never())).collect();
    let over: Vec<u8> = numbers().flat_map(reset).collect();
    let body = [head(1, &POST), head(3, &POST), data(1, 3, "three"), data(1, 1, "one")].concat();
    vec![
        case("5", "two bodies at once", send(body), "1: 200 one; 3: 200 three; goes on"),
        case(
            "5.1.2",
            "more at once than are announced",
            send(open).then(over),
            "201..401: reset REFUSED_STREAM; goes on",
        )
        .axum("401: reset REFUSED_STREAM; goes on", "More simultaneous requests than announced"),
    ]
}

/// A request that the server never answers.
fn never() -> [(&'static str, &'static str); 4] {
    let mut never = POST;
    never[2].1 = "/never";
    never
}

fn case(section: &'static str, what: &'static str, talk: Talk, want: &'static str) -> Case<Talk> {
    Case::new(9113, section, what, talk, want)
}
