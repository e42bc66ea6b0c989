//! `app-cluster pause`, `resume` and `abort`: what they do to a running rollout.

use api::{RolloutState as State, StepState as Step};

use crate::fake::{ID, Script, entry, rollout};
use crate::process::{command, run, start};
use crate::{failed, scripted, staying};

#[test]
fn a_pause_says_how_to_go_on() {
    let (bus, orchestrator) = scripted(Script::default());
    let ended = run(&bus, &["pause"]);
    let ways = "paused: `app-cluster resume` goes on, `app-cluster abort` goes back";
    assert_eq!((ended.exit, ended.lines), (0, vec![ways.to_owned()]), "{}", ended.errors);
    assert_eq!(orchestrator.calls(), ["Pause"]);
}

#[test]
fn a_resumed_rollout_is_followed_to_its_end() {
    let story = vec![
        rollout(State::Running, &[Step::Done, Step::Restarting]),
        rollout(State::Done, &[Step::Done, Step::Done]),
    ];
    let last = vec![rollout(State::Paused, &[Step::Done, Step::Waiting])];
    let (bus, orchestrator) = scripted(Script { story, last, ..Script::default() });
    let ended = run(&bus, &["resume"]);
    assert_eq!(ended.exit, 0, "{}", ended.errors);
    assert!(ended.lines.last().unwrap().starts_with("2 of 2 workers replaced in "), "{:?}", ended.lines);

    let ended = run(&bus, &["resume", "--no-wait"]);
    assert_eq!(ended.lines, ["the rollout goes on; see `app-cluster status`"]);
    assert_eq!(orchestrator.calls(), ["Resume", "Resume"]);
}

#[test]
fn an_abort_waits_for_the_old_release() {
    let script = Script {
        last: vec![rollout(State::Running, &[Step::Done, Step::Restarting])],
        aborted: Some(rollout(State::Running, &[Step::Restoring, Step::Restored])),
        ..Script::default()
    };
    let (bus, orchestrator) = scripted(script);
    let running = start(command(&bus, &["abort"]));
    running.says("worker@1: restoring");
    orchestrator.announce(rollout(State::Aborted, &[Step::Restored, Step::Restored]));
    let ended = running.ends();
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    assert_eq!(ended.lines.last().unwrap(), "every worker is on release 1.0");
    assert_eq!(orchestrator.calls(), [format!("Abort {ID}")]);
}

#[test]
fn the_exit_status_tells_whether_the_abort_succeeded() {
    for (end, exit) in [
        (rollout(State::Aborted, &[Step::Restored, Step::Waiting]), 0),
        (failed(State::Restored, &[Step::Restored, Step::Waiting]), 0),
        (rollout(State::Done, &[Step::Done, Step::Done]), 1),
        (failed(State::Failed, &[Step::Failed, Step::Waiting]), 3),
    ] {
        let last = vec![rollout(State::Running, &[Step::Done, Step::Restarting])];
        let (bus, _orchestrator) = scripted(Script { last, aborted: Some(end.clone()), ..Script::default() });
        let ended = run(&bus, &["abort"]);
        assert_eq!(ended.exit, exit, "{end:?}");
        assert_eq!(ended.errors.is_empty(), exit == 0, "{}", ended.errors);
    }
}

#[test]
fn an_abort_that_names_a_rollout_withdraws_it_from_the_queue() {
    let withdrawn = Some(rollout(State::Aborted, &[Step::Waiting, Step::Waiting]));
    let (bus, orchestrator) = scripted(Script { aborted: withdrawn, ..Script::default() });
    let ended = run(&bus, &["abort", &ID.to_string()]);
    assert_eq!(ended.exit, 0, "{}", ended.errors);
    assert_eq!(orchestrator.calls(), [format!("Abort {ID}")]);
}

#[test]
fn an_abort_whose_end_was_missed_is_found_in_the_history() {
    let history = vec![entry(api::EntryState::Aborted)];
    let (bus, _orchestrator) = scripted(Script { history, ..Script::default() });
    assert_eq!(run(&bus, &["abort", &ID.to_string()]).exit, 0);
}

#[test]
fn without_a_rollout_there_is_nothing_to_do() {
    let ended = vec![rollout(State::Done, &[Step::Done])];
    let (bus, orchestrator) = scripted(Script { last: ended, ..Script::default() });
    for verb in ["resume", "abort"] {
        let ended = run(&bus, &[verb]);
        assert_eq!(ended.exit, 4);
        assert!(ended.errors.contains("no rollout is running"), "{}", ended.errors);
    }
    assert_eq!(orchestrator.calls(), [""; 0]);

    let refusal: fn(String) -> api::Error = api::Error::NoRollout;
    let (other_bus, _refusing) = scripted(Script { refusal: Some(refusal), ..Script::default() });
    for args in [&["pause"] as &[&str], &["resume", "--no-wait"], &["abort", "7"]] {
        let ended = run(&other_bus, args);
        assert_eq!((ended.exit, ended.errors.as_str()), (4, "app-cluster: for a reason\n"), "{args:?}");
    }
}

#[test]
fn an_interrupted_abort_goes_on_without_its_caller() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restoring]));
    let running = start(command(&bus, &["abort"]));
    running.says("worker@1: restoring");
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.ends().exit, 130);
    assert_eq!(orchestrator.calls(), [format!("Abort {ID}")]);
}
