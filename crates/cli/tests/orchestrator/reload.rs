//! `app-cluster reload`: how it reports a rollout, and what its exit status says about the end.

use std::process::Stdio;

use api::{Rollout, RolloutState as State, StepState as Step};

use crate::bus::Bus;
use crate::fake::{ID, Orchestrator, Script, rollout};
use crate::process::{command, run};
use crate::{failed, scripted};

#[test]
fn a_rollout_that_succeeds_is_told_line_by_line() {
    let story = [
        rollout(State::Running, &[Step::Restarting, Step::Waiting]),
        rollout(State::Running, &[Step::Settling, Step::Waiting]),
        rollout(State::Running, &[Step::Done, Step::Restarting]),
        rollout(State::Done, &[Step::Done, Step::Done]),
    ];
    let (bus, orchestrator) = scripted(Script { story: story.to_vec(), ..Script::default() });
    let ended = run(&bus, &["reload"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    let (summary, lines) = ended.lines.split_last().unwrap();
    let expected = [
        "2 workers, release 1.0 → 1.1",
        "worker@1: restarting",
        "worker@1: settling",
        "worker@1: done (1 of 2)",
        "worker@2: restarting",
        "worker@2: done (2 of 2)",
    ];
    assert_eq!(lines, expected.map(|line| format!("rollout {ID}: {line}")));
    assert!(
        summary.starts_with("2 of 2 workers replaced in ") && summary.ends_with(", release 1.0 → 1.1"),
        "{summary}"
    );
    assert_eq!(orchestrator.calls(), ["Reload by alice"]);
}

#[test]
fn the_exit_status_tells_how_a_rollout_failed() {
    for (end, exit) in [
        (failed(State::Restored, &[Step::Restored, Step::Waiting]), 2),
        (failed(State::Failed, &[Step::Failed, Step::Waiting]), 3),
        (rollout(State::Aborted, &[Step::Done, Step::Waiting]), 3),
        (rollout(State::Aborted, &[Step::Restored, Step::Waiting]), 2),
        (Rollout { from: "1.1".into(), ..rollout(State::Aborted, &[Step::Done, Step::Waiting]) }, 1),
        (rollout(State::Refused, &[]), 4),
    ] {
        let (bus, _orchestrator) = scripted(Script { story: vec![end.clone()], ..Script::default() });
        let ended = run(&bus, &["reload"]);
        assert_eq!(ended.exit, exit, "{end:?}");
        for failure in end.failure {
            let words = format!(
                "{} {}\nlast lines of worker@1.service:\n  {}\n",
                failure.unit, failure.reason, failure.journal[0]
            );
            assert!(ended.errors.contains(&words), "{}", ended.errors);
        }
        assert!(ended.errors.contains("run `systemctl reload app-cluster` again"), "{}", ended.errors);
    }
}

#[test]
fn a_call_that_is_refused_says_why() {
    for (refusal, exit) in [
        (api::Error::Refused as fn(String) -> api::Error, 4),
        (api::Error::ShuttingDown, 4),
        (api::Error::Configuration, 78),
    ] {
        let (bus, _orchestrator) = scripted(Script { refusal: Some(refusal), ..Script::default() });
        let ended = run(&bus, &["reload"]);
        assert_eq!(ended.exit, exit);
        assert!(ended.errors.contains("for a reason"), "{}", ended.errors);
    }
}

#[test]
fn whoever_may_not_is_told_to_use_sudo() {
    let denied = ["BeginReload", "Reload"]
        .map(|member| format!("<deny send_interface=\"org.appcluster1\" send_member=\"{member}\"/>"));
    let bus = Bus::start(&denied.concat());
    let _orchestrator = Orchestrator::start(&bus, Script::default());
    let ended = run(&bus, &["reload"]);
    assert_eq!(
        (ended.exit, ended.errors.as_str()),
        (4, "app-cluster: not permitted; run it as root or with sudo\n")
    );
    assert_eq!(run(&bus, &["status"]).exit, 0);
}

#[test]
fn the_exit_status_needs_no_reader_of_the_words() {
    let end = failed(State::Restored, &[Step::Restored, Step::Waiting]);
    let (bus, _orchestrator) = scripted(Script { story: vec![end], ..Script::default() });
    let mut child = command(&bus, &["reload"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}
