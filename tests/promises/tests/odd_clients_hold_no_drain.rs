//! Hundreds of clients with rare behaviour, beside a load. No request of theirs is in progress, so a draining
//! worker closes their connections within its linger time and 3 s. The load loses no request.

use promises::{Cluster, Mode, Suite, Wire, monotonic_usec};

promises::in_one_suite!(
    bookworm:
    with_half_a_head,
    with_half_a_head_behind_a_request,
    with_an_empty_line_behind_a_request,
    that_end_their_half_and_wait,
    that_do_not_answer_close,
    of_http2_that_answer_no_ping,
    of_http2_that_give_no_window,
);

const CLIENTS: usize = 200;
/// The default linger time and 3 s.
const LONGEST_MS: u64 = 2000 + 3000;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame on stream 0 without settings, and one with an initial window of 0 (RFC 9113 §6.5).
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const NO_WINDOW: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// `GET /` on stream 1 (RFC 7541 appendix A).
const GET: &[u8] = &[0, 0, 9, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 4, b't', b'e', b's', b't', 0x84];

fn with_half_a_head(suite: Suite) {
    hold_no_drain(suite, |wire| wire.send_bytes(b"GET ").expect("the worker reads"));
}

fn with_half_a_head_behind_a_request(suite: Suite) {
    hold_no_drain(suite, |wire| answered_with_rest(wire, b"GET / HT"));
}

fn with_an_empty_line_behind_a_request(suite: Suite) {
    hold_no_drain(suite, |wire| answered_with_rest(wire, b"\r\n"));
}

fn answered_with_rest(wire: &mut Wire, rest: &[u8]) {
    let request = [b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", rest].concat();
    wire.send_bytes(&request).expect("the worker reads");
    assert_eq!(wire.receive().expect("it is answered").status, 200);
}

fn that_end_their_half_and_wait(suite: Suite) {
    let held = hold_no_drain(suite, |wire| {
        wire.send("/poll").expect("the worker reads");
        wire.end_half().expect("the connection is open");
    });
    for mut wire in held {
        let answer = wire.receive().expect("the long poll is answered when the worker drains");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn that_do_not_answer_close(suite: Suite) {
    let upgrade = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    hold_no_drain(suite, |wire| {
        wire.send_bytes(upgrade.as_bytes()).expect("the worker reads");
        assert_eq!(wire.receive().expect("it is upgraded").status, 101);
    });
}

fn of_http2_that_answer_no_ping(suite: Suite) {
    hold_no_drain(suite, |wire| wire.send_bytes(&[PREFACE, SETTINGS].concat()).expect("the worker reads"));
}

fn of_http2_that_give_no_window(suite: Suite) {
    hold_no_drain(suite, |wire| {
        wire.send_bytes(&[PREFACE, NO_WINDOW, GET].concat()).expect("the worker reads");
    });
}

/// Replaces a worker that has all these clients.
#[track_caller]
fn hold_no_drain(suite: Suite, prepare: impl Fn(&mut Wire)) -> Vec<Wire> {
    let cluster = Cluster::installed(suite);
    cluster.app_cluster(["scale", "1"]).assert_success();
    cluster.reload();
    let mut load = cluster.load(Mode::WithGaps);
    let odd: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut wire = Wire::open(&cluster).expect("the worker accepts");
            prepare(&mut wire);
            wire
        })
        .collect();
    load.until_more(100);

    let begin = monotonic_usec();
    cluster.reload();

    let told = cluster.logged(&["worker@1"], begin);
    assert!(!told.iter().any(|entry| entry.message().contains("by force")), "{told:#?}");
    let took = told.iter().find_map(|entry| entry.message().strip_prefix("drained in ")?.strip_suffix(" ms"));
    let took: u64 = took.and_then(|ms| ms.parse().ok()).unwrap_or_else(|| panic!("no drain: {told:#?}"));
    assert!(took <= LONGEST_MS, "the drain took {took} ms: {told:#?}");
    load.until_more(100);
    load.loses_nothing();
    odd
}
