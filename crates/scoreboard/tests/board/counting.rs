//! A reader reads exactly what a worker has counted.

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use scoreboard::{Ended, Reader, Record, Slot, Timeout, boottime};

use crate::{claim, instance, place, read};

fn record(path: &Path) -> Record {
    read(path, 7).expect("the slot was claimed").record
}

#[test]
fn a_process_is_known_by_its_identity() {
    let (_dir, path) = place();
    let before = boottime();
    let slot = claim(&path, 7, "1.3.0").unwrap();
    let claimed = record(&path);
    assert_eq!((claimed.identity.pid, claimed.identity.release.as_str()), (process::id(), "1.3.0"));
    assert!((before..=boottime()).contains(&claimed.identity.started), "{claimed:?}");
    assert_eq!((claimed.ready_since, claimed.drain_begun), (None, None));

    slot.ready();
    let ready = record(&path);
    assert_eq!(ready.identity, claimed.identity);
    assert!(ready.ready_since.is_some_and(|ready| ready >= claimed.identity.started));
    slot.leave();
    slot.ready();
    assert_eq!(record(&path).ready_since, ready.ready_since, "it was ready before");
}

#[test]
fn a_long_release_is_cut_between_characters() {
    let (_dir, path) = place();
    let _slot = claim(&path, 7, &"ä€".repeat(30)).unwrap();
    assert_eq!(record(&path).identity.release, format!("{}ä", "ä€".repeat(20)), "102 of 104 bytes");
}

#[test]
fn connections_are_open_until_their_guards_are_dropped() {
    let (_dir, path) = place();
    let slot = claim(&path, 7, "1").unwrap();
    let [first, second, third, fourth] = [(); 4].map(|()| slot.accepted());
    slot.refused();
    drop(first);
    let counters = record(&path).counters;
    assert_eq!((counters.accepts, counters.connections, counters.refused), (4, 3, 1));
    assert_eq!(counters.ended, [0, 0, 0], "no drain has begun");

    slot.draining();
    drop(second);
    third.end(Ended::Idle);
    fourth.end(Ended::Forced);
    let record = record(&path);
    assert_eq!(record.counters.connections, 0);
    assert_eq!(Ended::ALL.map(|ended| record.counters.ended[ended as usize]), [1, 1, 1]);
    assert!(record.drain_begun.is_some());
}

#[test]
fn requests_are_in_flight_until_their_guards_are_dropped() {
    let (_dir, path) = place();
    let slot = claim(&path, 7, "1").unwrap();
    let [open, dropped] = [slot.request_begun(), slot.request_begun()];
    drop(dropped);
    for status in [101, 200, 204, 302, 404, 500, 0, 99, 600, u16::MAX] {
        slot.request_begun().answered_in(status, Duration::from_micros(10));
    }
    let counters = record(&path).counters;
    assert_eq!((counters.requests, counters.in_flight, counters.unanswered), (12, 1, 1));
    assert_eq!(counters.responses, [1, 2, 1, 1, 5]);
    assert_eq!(counters.latency.count(), 10);
    assert_eq!(counters.latency.sum(), Duration::from_micros(100));
    assert_eq!(counters.latency.quantile(1.0), Some(Duration::from_micros(10)));

    open.answered(200);
    let counters = record(&path).counters;
    assert_eq!((counters.in_flight, counters.responses[1]), (0, 3));
    assert!(counters.latency.sum() > Duration::from_micros(100), "it took some time");
}

#[test]
fn timeouts_panics_and_bytes_are_counted() {
    let (_dir, path) = place();
    let slot = claim(&path, 7, "1").unwrap();
    for (times, timeout) in Timeout::ALL.into_iter().enumerate() {
        (0..=times).for_each(|_| slot.timed_out(timeout));
    }
    slot.panicked();
    slot.received(1 << 40);
    slot.received(1);
    slot.sent(5);
    let counters = record(&path).counters;
    assert_eq!(counters.timeouts, [1, 2, 3, 4, 5]);
    assert_eq!(counters.timeouts[Timeout::Head as usize], 2);
    assert_eq!((counters.panics, counters.received, counters.sent), (1, (1 << 40) + 1, 5));
}

#[test]
fn threads_lose_no_count() {
    let (_dir, path) = place();
    let slot = claim(&path, 7, "1").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let slot = slot.clone();
                for _ in 0..10_000 {
                    let _connection = slot.accepted();
                    slot.request_begun().answered(200);
                }
            });
        }
    });
    let counters = record(&path).counters;
    assert_eq!((counters.accepts, counters.requests, counters.responses[1]), (40_000, 40_000, 40_000));
    assert_eq!((counters.connections, counters.in_flight, slot.seat().connections), (0, 0, 0));
    assert_eq!(counters.latency.count(), 40_000);
}

#[test]
fn a_figure_is_never_torn() {
    let (_dir, path) = place();
    let slot = claim(&path, 7, "1").unwrap();
    let is_enough = AtomicBool::new(false);
    let [mut none, mut all] = [0; 2];
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_enough.load(Relaxed) {
                slot.sent(u64::MAX);
                // It overflows to zero.
                slot.sent(1);
            }
        });
        while none < 2000 || all < 2000 {
            match record(&path).counters.sent {
                0 => none += 1,
                u64::MAX => all += 1,
                torn => {
                    is_enough.store(true, Relaxed);
                    panic!("{torn:#x} after {none} and {all}");
                }
            }
        }
        is_enough.store(true, Relaxed);
    });
}

#[test]
fn a_private_slot_counts_for_itself_and_has_no_siblings() {
    let slot = Slot::private(instance(512), "1");
    slot.ready();
    let _connection = slot.accepted();
    slot.request_begun().answered(200);
    assert!(slot.is_private());
    assert!(slot.seat().is_accepting);
    assert_eq!((slot.seat().connections, slot.siblings().count()), (1, 0));
}

#[test]
fn all_are_read_in_their_order_and_who_never_was_is_left_out() {
    let (_dir, path) = place();
    let slots = [512, 1, 40].map(|number| claim(&path, number, "1").unwrap());
    drop(slots);
    let reader = Reader::open(&path).unwrap();
    let all = reader.all().unwrap();
    assert_eq!(all.iter().map(|snapshot| snapshot.instance.number()).collect::<Vec<_>>(), [1, 40, 512]);
    assert!(all.iter().all(|snapshot| !snapshot.is_alive));
    assert_eq!(reader.read(instance(2)).unwrap(), None);
}
