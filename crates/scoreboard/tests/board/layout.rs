//! Version 1 of the layout, byte by byte. If one of these tests fails, workers and readers of two builds
//! misread each other. Then change the version of the layout and the name of the file.

use std::fs;
use std::time::Duration;

use scoreboard::{DEFAULT_PATH, Ended, Timeout, VERSION};

use crate::{claim, place};

fn word(file: &[u8], offset: usize) -> u64 {
    u64::from_ne_bytes(file[offset..offset + 8].try_into().expect("eight bytes"))
}

#[test]
fn the_name_of_the_file_has_the_version() {
    assert_eq!(VERSION, 1);
    assert_eq!(DEFAULT_PATH, "/run/app-cluster/scoreboard/board.v1");
}

#[test]
fn the_header_and_the_seats_are_where_they_were() {
    let (_dir, path) = place();
    let slot = claim(&path, 3, "1").unwrap();
    slot.ready();
    let _connections = [slot.accepted(), slot.accepted()];
    let file = fs::read(&path).unwrap();

    assert_eq!(file.len(), 4096 + 512 * 64 + 3 * 4096, "up to the end of the slot");
    assert_eq!(&file[..8], b"appclus\n");
    assert_eq!([8, 16, 24, 32].map(|at| word(&file, at)), [1, 512, 64, 4096]);
    assert_eq!(word(&file, 64), 3, "the highest instance");
    let seat = 4096 + 2 * 64;
    assert_eq!([0, 8].map(|at| word(&file, seat + at)), [1, 2], "state and connections");
    assert_eq!(word(&file, seat + 16), slot.seat().last_accept.as_nanos() as u64);
    let rest = [&file[40..64], &file[72..seat], &file[seat + 24..36_864 + 2 * 4096]].concat();
    assert!(rest.iter().all(|byte| *byte == 0), "everything else is zero");
}

#[test]
fn the_words_of_a_slot_are_where_they_were() {
    let (_dir, path) = place();
    let slot = claim(&path, 1, "1.3.0").unwrap();
    slot.ready();
    slot.draining();
    let count = |times: usize, what: &dyn Fn()| (0..times).for_each(|_| what());
    let connections: Vec<_> = (0..22).map(|_| slot.accepted()).collect();
    for (at, connection) in connections.into_iter().enumerate() {
        match at {
            0..3 => connection.end(Ended::Finished),
            3..7 => connection.end(Ended::Idle),
            7..12 => connection.end(Ended::Forced),
            // The guard is leaked, so the connection stays open.
            _ => std::mem::forget(connection),
        }
    }
    count(13, &|| slot.refused());
    count(6, &|| std::mem::forget(slot.request_begun()));
    count(7, &|| drop(slot.request_begun()));
    for class in 1..=5 {
        count(class.into(), &|| slot.request_begun().answered_in(class * 100, Duration::from_micros(40)));
    }
    slot.received(1001);
    slot.sent(1002);
    count(14, &|| slot.panicked());
    for timeout in Timeout::ALL {
        count(20 + timeout as usize, &|| slot.timed_out(timeout));
    }

    let file = fs::read(&path).unwrap();
    let slot = &file[36_864..];
    let words = |offset: usize, count: usize| -> Vec<u64> {
        (0..count).map(|at| word(slot, offset + at * 8)).collect()
    };
    assert_eq!(words(0, 2), [2, std::process::id().into()], "sequence and process id");
    assert_eq!(&slot[24..128], [b"1.3.0".as_slice(), &[0; 99]].concat(), "release");
    let [claimed, ready, drain] = [16, 128, 136].map(|at| word(slot, at));
    assert!(0 < claimed && claimed <= ready && ready <= drain, "{claimed} {ready} {drain}");
    assert_eq!(words(192, 3), [22, 10, 13], "accepts, connections, refused");
    assert_eq!(words(216, 3), [28, 6, 7], "requests, in flight, unanswered");
    assert_eq!(words(240, 5), [1, 2, 3, 4, 5], "responses");
    assert_eq!(words(280, 2), [1001, 1002], "received, sent");
    assert_eq!(words(296, 3), [3, 4, 5], "ended in the drain");
    assert_eq!(words(320, 1), [14], "panics");
    assert_eq!(words(328, 5), [20, 21, 22, 23, 24], "timeouts");
    assert_eq!(words(368, 1), [15 * 40], "sum of latencies");
    assert_eq!(words(384 + 25 * 8, 2), [0, 15], "40 µs is in bucket 26");
    let rest = [&slot[144..192], &slot[376..384 + 26 * 8], &slot[384 + 27 * 8..4096]].concat();
    assert!(rest.iter().all(|byte| *byte == 0), "everything else is zero");
}
