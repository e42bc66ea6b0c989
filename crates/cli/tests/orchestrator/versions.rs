//! The command works with orchestrators of other versions, which run during an upgrade or a downgrade of the package.

use std::fs;

use api::{EntryState, Release, Rollout, RolloutState as State, StepState as Step};

use crate::bus::Bus;
use crate::fake::{Orchestrator, Script, counters, entry, rollout};
use crate::process::{Ended, run};

/// A script whose rollout has two steps.
fn story() -> Script {
    let story = vec![
        rollout(State::Running, &[Step::Restarting, Step::Waiting]),
        rollout(State::Running, &[Step::Done, Step::Restarting]),
        rollout(State::Done, &[Step::Done, Step::Done]),
    ];
    Script { story, ..Script::default() }
}

fn first(script: Script) -> (Bus, Orchestrator) {
    let bus = Bus::start("");
    let orchestrator = Orchestrator::start_first(&bus, script);
    (bus, orchestrator)
}

fn today(script: Script) -> (Bus, Orchestrator) {
    let bus = Bus::start("");
    let orchestrator = Orchestrator::start(&bus, script);
    (bus, orchestrator)
}

/// What a command prints, without how long it took.
fn lines(ended: &Ended) -> Vec<&str> {
    let all = ended.lines.iter();
    all.map(|line| line.split_once(" in ").map_or(line.as_str(), |(before, _)| before)).collect()
}

#[test]
fn a_reload_of_1_0_0_is_told_as_one_of_today() {
    let [(bus, orchestrator), (other_bus, other)] = [first(story()), today(story())];
    let [ended, as_today] = [&bus, &other_bus].map(|bus| run(bus, &["reload"]));
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    assert_eq!(lines(&ended), lines(&as_today));
    assert_eq!(orchestrator.calls(), ["Reload by alice"]);
    assert_eq!(other.calls(), orchestrator.calls());
}

#[test]
fn a_step_that_is_told_twice_is_shown_once() {
    let (bus, _orchestrator) = today(story());
    let ended = run(&bus, &["reload"]);
    let mut once = ended.lines.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ended.lines.len(), "{:?}", ended.lines);
}

#[test]
fn an_orchestrator_of_1_0_0_deploys_and_rolls_back() {
    let (bus, orchestrator) = first(story());
    let file = bus.dir.path().join("shop");
    fs::write(&file, "the program").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(run(&bus, &["deploy", file, "--id", "shop-2"]).exit, 0);
    assert_eq!(run(&bus, &["rollback", "0.9"]).exit, 0);
    let calls = [r#"Deploy "the program" as "shop-2", canary 0, by alice"#, r#"Rollback to "0.9" by alice"#];
    assert_eq!(orchestrator.calls(), calls);
}

#[test]
fn a_refusal_of_1_0_0_is_told_in_its_words() {
    let refusal: fn(String) -> api::Error = api::Error::NoSuchRelease;
    let (bus, orchestrator) = first(Script { refusal: Some(refusal), ..Script::default() });
    let ended = run(&bus, &["rollback", "0.9"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (4, "app-cluster: for a reason\n"));
    assert_eq!(orchestrator.calls(), [""; 0]);
}

#[test]
fn what_1_0_0_tells_is_shown_as_what_is_told_today() {
    let release = Release { id: "1.0".into(), is_current: true, workers: 4, ..Release::default() };
    let script = Script {
        last: vec![rollout(State::Running, &[Step::Done, Step::Restarting])],
        counters: vec![counters(0)],
        releases: vec![release],
        history: vec![entry(EntryState::Restored)],
        ..Script::default()
    };
    let [(bus, _first), (other_bus, _today)] = [first(script.clone()), today(script)];
    for args in [
        &["status"] as &[_],
        &["status", "--json"],
        &["releases"],
        &["releases", "--json"],
        &["releases", "--ids"],
    ] {
        let [ended, as_today] = [&bus, &other_bus].map(|bus| run(bus, args));
        assert_eq!((ended.exit, ended.errors.as_str()), (0, ""), "{args:?}");
        assert_eq!(ended.lines, as_today.lines, "{args:?}");
    }
}

#[test]
fn a_rollout_of_1_0_0_is_aborted_and_resumed() {
    let end = Rollout { message: "ended on request".into(), ..rollout(State::Aborted, &[Step::Restored]) };
    let paused = rollout(State::Paused, &[Step::Done, Step::Waiting]);
    let script = Script { last: vec![paused], aborted: Some(end), ..story() };
    let (bus, orchestrator) = first(script);
    assert_eq!(run(&bus, &["resume"]).exit, 0);
    assert_eq!(run(&bus, &["abort"]).exit, 0);
    assert_eq!(orchestrator.calls(), ["Resume".to_owned(), format!("Abort {}", crate::fake::ID)]);
}

#[test]
fn an_orchestrator_to_come_may_say_more_than_is_known() {
    let last = vec![rollout(State::Done, &[Step::Done, Step::Done])];
    let bus = Bus::start("");
    let script = Script { last, counters: vec![counters(0)], ..story() };
    let orchestrator = Orchestrator::start_tomorrow(&bus, script);
    let ended = run(&bus, &["reload"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""), "{:?}", ended.lines);
    assert!(ended.lines.last().unwrap().starts_with("2 of 2 workers replaced in "), "{:?}", ended.lines);
    assert_eq!(orchestrator.calls(), ["Reload by alice"]);

    let ended = run(&bus, &["status"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""), "{:?}", ended.lines);
    assert!(ended.lines.iter().any(|line| line.starts_with("worker@1  2 ")), "{:?}", ended.lines);
    // A method that the orchestrator does not have is another matter.
    let ended = run(&bus, &["releases"]);
    assert!(ended.exit == 1 && ended.errors.contains("is of another version"), "{}", ended.errors);
}

/// The package is unpacked, and the bus has not read its new policy yet.
#[test]
fn a_bus_with_the_policy_of_1_0_0_is_asked_as_1_0_0_asks() {
    let denied = ["GetStatus", "GetCounters", "ListReleases", "ListHistory"]
        .map(|member| format!("<deny send_interface=\"org.appcluster1\" send_member=\"{member}\"/>"));
    let bus = Bus::start(&denied.concat());
    let _orchestrator = Orchestrator::start(&bus, story());
    for args in [["status"], ["releases"]] {
        let ended = run(&bus, &args);
        assert_eq!((ended.exit, ended.errors.as_str()), (0, ""), "{args:?}");
    }
}
