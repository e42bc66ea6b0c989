//! The orchestrator or the bus is absent, goes away or comes back.

use std::process::Command;

use api::{Entry, EntryState, Rollout, RolloutState as State, StepState as Step};

use crate::bus::Bus;
use crate::fake::{ID, Orchestrator, Script, entry, rollout};
use crate::process::{Ended, command, run, start};
use crate::{scripted, staying};

#[test]
fn without_an_orchestrator_there_is_advice() {
    let bus = Bus::start("");
    for verb in ["status", "reload", "pause", "resume", "abort", "rollback", "releases"] {
        let ended = run(&bus, &[verb]);
        assert_eq!(ended.exit, 75);
        assert!(ended.errors.contains("`systemctl start app-cluster`"), "{}", ended.errors);
    }
    let address = bus.address.clone();
    drop(bus);
    let mut no_bus = Command::new(env!("CARGO_BIN_EXE_app-cluster"));
    no_bus.arg("status").env("DBUS_SYSTEM_BUS_ADDRESS", address);
    assert_eq!(start(no_bus).ends().exit, 75);
}

/// A reload whose orchestrator is killed while worker 1 restarts. The next orchestrator has this script.
fn reload_with_a_restart(successor: Script) -> Ended {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting, Step::Waiting]));
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(orchestrator);
    running.says("the orchestrator went away; waiting for its return");
    let _successor = Orchestrator::start(&bus, successor);
    running.ends()
}

#[test]
fn an_orchestrator_that_comes_back_goes_on_with_the_same_rollout() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting, Step::Waiting]));
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(orchestrator);
    running.says("the orchestrator went away; waiting for its return");
    let successor = Orchestrator::start(&bus, staying(State::Running, &[Step::Done, Step::Restarting]));
    running.says("the orchestrator was restarted; waiting for it to continue");
    running.says("worker@2: restarting");
    successor.announce(rollout(State::Done, &[Step::Done, Step::Done]));
    let ended = running.ends();
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    assert!(ended.lines.last().unwrap().starts_with("2 of 2 workers replaced in "), "{:?}", ended.lines);
    assert_eq!(successor.calls(), [""; 0]);
}

#[test]
fn how_a_rollout_ended_that_is_over_when_it_comes_back_is_in_the_history() {
    for (state, exit) in [
        (EntryState::Done, 0),
        (EntryState::Restored, 2),
        (EntryState::Aborted, 2),
        (EntryState::Failed, 3),
        (EntryState::Interrupted, 3),
    ] {
        let ours = Entry { failure: "worker@1.service was killed by SIGKILL".into(), ..entry(state) };
        let newer = Entry { rollout: ID + 1, ..entry(EntryState::Done) };
        let ended = reload_with_a_restart(Script { history: vec![newer, ours], ..Script::default() });
        assert_eq!(ended.exit, exit, "{state:?}: {}", ended.errors);
        let told = ended.lines.concat() + &ended.errors;
        let words = format!("rollout {ID} ended while the orchestrator was away: ");
        assert!(told.contains(&words) && told.contains("killed by SIGKILL"), "{told}");
    }
}

#[test]
fn an_orchestrator_that_forgot_the_rollout_is_not_waited_for() {
    let ended = reload_with_a_restart(Script::default());
    assert_eq!(ended.exit, 75);
    assert!(ended.errors.contains("went away in the middle of the rollout"), "{}", ended.errors);
}

#[test]
fn an_orchestrator_that_stays_away_ends_the_wait() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting]));
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(orchestrator);
    let ended = running.ends();
    assert_eq!(ended.exit, 75);
    assert!(ended.errors.contains("went away in the middle of the rollout"), "{}", ended.errors);
}

#[test]
fn a_bus_that_dies_ends_the_wait() {
    let (bus, _orchestrator) = scripted(staying(State::Running, &[Step::Restarting]));
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(bus);
    assert_eq!(running.ends().exit, 75);
}

#[test]
fn an_end_whose_signal_is_lost_is_found() {
    let begun = vec![rollout(State::Running, &[Step::Restarting])];
    let last = vec![rollout(State::Done, &[Step::Done])];
    let (bus, _orchestrator) = scripted(Script { story: begun, last, ..Script::default() });
    assert_eq!(run(&bus, &["reload"]).exit, 0);
}

#[test]
fn a_rollout_that_nobody_knows_of_is_not_waited_for() {
    let other = Rollout { id: ID + 1, ..rollout(State::Running, &[Step::Restarting]) };
    let (bus, _orchestrator) = scripted(Script { last: vec![other], ..Script::default() });
    assert_eq!(run(&bus, &["reload"]).exit, 75);
}
