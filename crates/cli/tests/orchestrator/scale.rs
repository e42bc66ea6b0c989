//! `app-cluster scale`: what it writes, when it restores the old files, and what it waits for.

use std::fs;
use std::path::Path;

use api::{Worker, WorkerState as State};

use crate::bus::Bus;
use crate::fake::{Script, worker};
use crate::process::{Ended, run};
use crate::scripted;

fn scale(bus: &Bus, n: &str) -> Ended {
    scale_in(bus.dir.path(), bus, n)
}

fn scale_in(root: &Path, bus: &Bus, n: &str) -> Ended {
    run(bus, &["scale", n, "--root", root.to_str().unwrap()])
}

/// Four workers and two new ones, in these states.
fn six(five: State, six: State) -> Vec<Worker> {
    (1..=4).map(|i| worker(i, State::Ready)).chain([worker(5, five), worker(6, six)]).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn scale_writes_a_drop_in_and_takes_it_back_when_it_is_refused() {
    let (bus, _orchestrator) =
        scripted(Script { scaled: vec![six(State::Ready, State::Ready)], ..Script::default() });
    if !is_root() {
        assert_eq!(scale(&bus, "6").exit, 4);
        return;
    }
    let ended = scale(&bus, "6");
    assert_eq!((ended.exit, ended.lines.last().unwrap().as_str()), (0, "4 → 6 workers"), "{}", ended.errors);
    let file = bus.dir.path().join("etc/app-cluster/conf.d/90-scale.toml");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.ends_with("workers = 6\n"));

    let refusal: fn(String) -> api::Error = api::Error::Refused;
    let (other_bus, _refusing) = scripted(Script { refusal: Some(refusal), ..Script::default() });
    assert_eq!(scale_in(bus.dir.path(), &other_bus, "8").exit, 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn scale_returns_when_the_new_workers_are_ready() {
    let scaled = vec![
        six(State::Starting, State::Starting),
        six(State::Ready, State::Starting),
        six(State::Ready, State::Starting),
        six(State::Ready, State::Ready),
    ];
    let (bus, _orchestrator) = scripted(Script { scaled, ..Script::default() });
    if !is_root() {
        return;
    }
    let ended = scale(&bus, "6");
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    assert_eq!(ended.lines, ["worker@5: ready (1 of 2)", "worker@6: ready (2 of 2)", "4 → 6 workers"]);
}

#[test]
fn scale_tells_which_worker_fails_and_why() {
    let mut failing = six(State::Ready, State::Starting);
    failing[5].restarts = 1;
    failing[5].last_exit = "exited with status 1".into();
    let scaled = vec![six(State::Starting, State::Starting), failing];
    let (bus, _orchestrator) = scripted(Script { scaled, ..Script::default() });
    if !is_root() {
        return;
    }
    let ended = scale(&bus, "6");
    assert_eq!(ended.exit, 1, "{:?}", ended.lines);
    assert!(
        ended.errors.contains("worker@6.service did not become ready: it exited with status 1"),
        "{}",
        ended.errors
    );
    assert!(ended.errors.contains("`journalctl -u worker@6.service`"), "{}", ended.errors);
}

#[test]
fn scale_does_not_wait_for_a_rollout_under_way() {
    // The new number takes effect when the rollout ends.
    let (bus, _orchestrator) = scripted(Script::default());
    if !is_root() {
        return;
    }
    let ended = scale(&bus, "6");
    let lines = ["4 → 6 workers, once the current rollout has ended".to_owned()];
    assert_eq!((ended.exit, ended.lines), (0, lines.to_vec()), "{}", ended.errors);
}
