//! A release whose workers say READY=1 and accept no connection.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use cluster::accept::{Connection, Waiting};
use cluster::history::{Kind, State};
use cluster::unit::{ActiveState, JobId};

use crate::rig::{Rig, active, id};

const WATCH: Duration = Duration::from_secs(61);

/// These clients wait for the only listener.
fn wait(clients: impl IntoIterator<Item = usize>) -> Option<Waiting> {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let connection = |client| Connection { local: at(80), client: at(1024 + client as u16) };
    Some(vec![clients.into_iter().map(connection).collect::<BTreeSet<_>>()])
}

fn is_undone(rig: &Rig) -> bool {
    rig.history.last().is_some_and(|entry| (entry.kind, entry.state) == (Kind::Undo, State::Done))
}

#[test]
fn a_release_that_accepts_nothing_is_undone() {
    let mut rig = Rig::running();
    rig.queues = |look| wait(0..2 + look);
    rig.deploy("2.0.0");
    rig.wait(Duration::from_secs(11));
    assert!(!is_undone(&rig), "two looks are too few: {:#?}", rig.looks);
    rig.wait(Duration::from_secs(10));
    assert!(is_undone(&rig), "{:#?}", rig.history);
    assert_eq!(rig.links.values().collect::<Vec<_>>(), [&id("1.0.0"), &id("1.0.0")]);
    let words =
        "nobody accepts connections, although all workers are ready; 5 wait; a worker has to accept on";
    assert!(rig.log.iter().any(|line| line.contains(words)), "{:#?}", rig.log);
    let end = rig.last_end.unwrap();
    assert!(end.contains(&format!("release 1.0.0; release 2.0.0 was undone: {words}")), "{end}");
}

#[test]
fn a_release_that_accepts_stays_however_long_its_queue_is() {
    let queues: [fn(usize) -> Option<Waiting>; 3] = [
        |look| wait(look..1000 + look),
        |look| wait((look % 2)..1),
        |look| wait(0..3).filter(|_| look % 3 > 0),
    ];
    for queues in queues {
        let mut rig = Rig::running();
        rig.queues = queues;
        rig.deploy("2.0.0");
        rig.wait(WATCH);
        assert!(rig.looks.len() > 10 && !is_undone(&rig), "{:#?}", rig.history);
    }
}

#[test]
fn nothing_is_looked_at_but_during_the_watch() {
    let mut rig = Rig::running();
    rig.wait(WATCH);
    assert_eq!(rig.looks, []);
    rig.deploy("2.0.0");
    rig.wait(WATCH + WATCH);
    assert_eq!(rig.looks.len(), 13, "{:?}", rig.looks);
    assert!(rig.looks.windows(2).all(|two| two[1] - two[0] == Duration::from_secs(5)), "{:?}", rig.looks);
    assert_eq!(rig.cluster.next_wake(), None);

    let mut rig = Rig::new();
    rig.settings.watch = Duration::ZERO;
    rig.queues = |_| wait(0..9);
    rig.begin();
    rig.deploy("2.0.0");
    rig.wait(WATCH);
    assert_eq!(rig.looks, []);
}

#[test]
fn workers_that_are_not_ready_all_the_time_prove_nothing() {
    let mut rig = Rig::running();
    rig.queues = |_| wait(0..9);
    rig.deploy("2.0.0");
    for run in 50..65 {
        rig.wait(Duration::from_secs(4));
        let begun = rig.now();
        rig.change(2, |unit| *unit = active(run, begun));
    }
    assert!(rig.looks.len() > 10 && !is_undone(&rig), "{:#?}", rig.history);
}

#[test]
fn while_an_operator_has_stopped_all_workers_nothing_is_proved() {
    let mut rig = Rig::running();
    rig.queues = |_| wait(0..9);
    rig.deploy("2.0.0");
    rig.wait(Duration::from_secs(3));
    for number in [1, 2] {
        rig.change(number, |unit| {
            (unit.active, unit.job) = (ActiveState::Deactivating, Some(JobId(900 + number)));
        });
        rig.change(number, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
        rig.foreign_job_is_done(number);
    }
    rig.wait(WATCH);
    assert!(!is_undone(&rig), "{:#?}", rig.history);
}

#[test]
fn the_next_orchestrator_looks_too() {
    let mut rig = Rig::running();
    rig.queues = |_| wait(0..9);
    rig.deploy("2.0.0");
    rig.wait(Duration::from_secs(9));
    rig.begin();
    rig.wait(Duration::from_secs(20));
    assert!(is_undone(&rig), "{:#?}", rig.history);
}
