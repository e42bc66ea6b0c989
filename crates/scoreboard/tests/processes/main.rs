//! Several processes on one board.

#[path = "../common/mod.rs"]
mod common;
mod full;
mod other_process;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use scoreboard::{Error, Reader};

use self::common::{claim, instance, place, read};
use self::other_process::OtherProcess;

#[test]
fn the_last_figures_of_a_killed_process_stay_readable_and_its_successor_begins_at_zero() {
    let (_dir, path) = place();
    let other = OtherProcess::begin("hold", &path, 5).wait();
    let alive = read(&path, 5).unwrap();
    assert!(alive.is_alive);
    assert_eq!(alive.record.identity.pid, other.pid());
    assert_eq!((alive.record.counters.accepts, alive.record.counters.connections), (3, 2));
    assert_eq!((alive.record.counters.requests, alive.record.counters.in_flight), (2, 1));
    assert!(
        matches!(claim(&path, 5, "2").unwrap_err(), Error::Taken { instance: taken } if taken == instance(5))
    );
    assert_eq!(read(&path, 5).unwrap(), alive, "who was refused has changed nothing");
    let sibling = claim(&path, 6, "2").unwrap();
    assert!(sibling.siblings().next().unwrap().is_held());

    other.kill();
    let dead = read(&path, 5).unwrap();
    assert!(!dead.is_alive);
    assert_eq!((&dead.record, dead.seat), (&alive.record, alive.seat));
    let seat = sibling.siblings().next().expect("the worker still has its seat");
    assert!(!seat.is_held());

    let slot = claim(&path, 5, "2").unwrap();
    let successor = read(&path, 5).unwrap();
    assert!(successor.is_alive);
    assert_eq!(successor.record.identity.release, "2");
    assert_eq!((successor.record.counters.accepts, successor.record.counters.latency.count()), (0, 0));
    assert_eq!((successor.seat, slot.seat()), Default::default());
}

#[test]
fn anybody_may_read_what_a_strict_worker_has_created() {
    let (_dir, path) = place();
    let _other = OtherProcess::begin("hold", &path, 1).wait();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn processes_that_create_the_board_at_once_all_get_their_slots() {
    let (_dir, path) = place();
    let others: Vec<_> = (1..=8).map(|number| OtherProcess::begin("hold", &path, number)).collect();
    let others: Vec<_> = others.into_iter().map(OtherProcess::wait).collect();
    let all = Reader::open(&path).unwrap().all().unwrap();
    assert!(all.iter().all(|snapshot| snapshot.is_alive && snapshot.record.counters.accepts == 3));
    let pids: Vec<_> = all.iter().map(|snapshot| snapshot.record.identity.pid).collect();
    assert_eq!(pids, others.iter().map(OtherProcess::pid).collect::<Vec<_>>());
}

#[test]
fn a_reader_never_mixes_two_processes() {
    let (_dir, path) = place();
    let others = [(); 2].map(|()| OtherProcess::begin("churn", &path, 1).wait());
    let reader = Reader::open(&path).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut seen = BTreeSet::new();
    let mut changes = 0;
    let mut last = 0;
    while seen.len() < 500 || changes < 10 {
        assert!(Instant::now() < deadline, "{} claims, {changes} changes seen", seen.len());
        let Some(snapshot) = reader.read(instance(1)).unwrap() else { continue };
        let record = snapshot.record;
        let pid = record.identity.pid;
        assert!(others.iter().any(|other| other.pid() == pid), "{record:?}");
        assert_eq!(record.identity.release, format!("{pid:0100}"), "{record:?}");
        let counts = [record.counters.received, record.counters.sent];
        let is_its_own = |count: u64| count.is_multiple_of(pid.into()) && count <= 20 * u64::from(pid);
        assert!(counts.into_iter().all(is_its_own), "{record:?}");
        changes += u32::from(last != pid);
        last = pid;
        seen.insert(record.identity.started);
    }
}
