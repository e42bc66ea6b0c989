//! `app-cluster deploy` and `rollback`: what they pass to the orchestrator, and how far they follow the rollout.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use api::{Kind, Rollout, RolloutState as State, StepState as Step};

use crate::fake::{Script, rollout};
use crate::process::{command, run, start};
use crate::{failed, scripted};

fn done() -> Script {
    Script { story: vec![rollout(State::Done, &[Step::Done, Step::Done])], ..Script::default() }
}

#[test]
fn a_file_is_handed_over_open() {
    let (bus, orchestrator) = scripted(done());
    let file = bus.dir.path().join("shop");
    fs::write(&file, "the program").unwrap();
    let ended = run(&bus, &["deploy", file.to_str().unwrap(), "--id", "shop-2"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    assert!(ended.lines.last().unwrap().starts_with("2 of 2 workers replaced in "), "{:?}", ended.lines);
    assert_eq!(orchestrator.calls(), [r#"Deploy "the program" as "shop-2", canary 0, by alice"#]);
}

#[test]
fn a_directory_is_handed_over_by_its_resolved_path() {
    let (bus, orchestrator) = scripted(done());
    let directory = bus.dir.path().canonicalize().unwrap().join("release");
    let worker = directory.join("worker");
    let mut deploy = command(&bus, &["deploy", "./release/../release"]);
    deploy.current_dir(bus.dir.path());
    fs::create_dir(&directory).unwrap();
    fs::write(&worker, "").unwrap();

    fs::set_permissions(&worker, Permissions::from_mode(0o644)).unwrap();
    let ended = run(&bus, &["deploy", directory.to_str().unwrap()]);
    assert_eq!(ended.exit, 4);
    assert!(ended.errors.contains("worker: not executable; set it with `chmod +x`"), "{}", ended.errors);
    assert_eq!(orchestrator.calls(), [""; 0]);

    fs::set_permissions(&worker, Permissions::from_mode(0o755)).unwrap();
    let ended = start(deploy).ends();
    assert_eq!(ended.exit, 0, "{}", ended.errors);
    let call = format!("DeployDirectory {} as \"\", canary 0, by alice", directory.display());
    assert_eq!(orchestrator.calls(), [call]);
}

#[test]
fn a_canary_ends_the_wait_when_it_is_in_place() {
    let mut story = [
        rollout(State::Running, &[Step::Waiting, Step::Waiting, Step::Restarting]),
        // The rollout is already paused while the canary still settles.
        rollout(State::Paused, &[Step::Waiting, Step::Waiting, Step::Settling]),
        rollout(State::Paused, &[Step::Waiting, Step::Waiting, Step::Done]),
    ];
    for rollout in &mut story {
        rollout.steps[2].is_surge = true;
    }
    let (bus, orchestrator) = scripted(Script { story: story.to_vec(), ..Script::default() });
    let file = bus.dir.path().join("shop");
    fs::write(&file, "").unwrap();
    let ended = run(&bus, &["deploy", file.to_str().unwrap(), "--canary", "1"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (0, ""));
    let ways = "`app-cluster resume` goes on, `app-cluster abort` goes back";
    assert_eq!(ended.lines.last().unwrap(), &format!("1 of 3 workers runs release 1.1; {ways}"));
    assert_eq!(orchestrator.calls(), [r#"Deploy "" as "", canary 1, by alice"#]);
}

#[test]
fn a_deployment_that_fails_is_to_be_deployed_again() {
    let end = Rollout { kind: Kind::Deploy, ..failed(State::Restored, &[Step::Restored, Step::Waiting]) };
    let (bus, _orchestrator) = scripted(Script { story: vec![end], ..Script::default() });
    let file = bus.dir.path().join("shop");
    fs::write(&file, "").unwrap();
    // A failure ends the wait even if it is for a canary.
    for more in [&[] as &[&str], &["--canary", "1"]] {
        let ended = run(&bus, &[&["deploy", file.to_str().unwrap()], more].concat());
        assert_eq!(ended.exit, 2);
        assert!(ended.errors.contains("cannot open the database"), "{}", ended.errors);
        assert!(ended.errors.contains("then run `app-cluster deploy` again"), "{}", ended.errors);
    }
}

#[test]
fn a_rollback_names_a_release_or_none() {
    let (bus, orchestrator) = scripted(done());
    assert_eq!(run(&bus, &["rollback"]).exit, 0);
    assert_eq!(run(&bus, &["rollback", "0.9"]).exit, 0);
    assert_eq!(orchestrator.calls(), [r#"Rollback to "" by alice"#, r#"Rollback to "0.9" by alice"#]);
}

#[test]
fn a_release_that_is_not_there_is_refused() {
    let refusal: fn(String) -> api::Error = api::Error::NoSuchRelease;
    let (bus, _orchestrator) = scripted(Script { refusal: Some(refusal), ..Script::default() });
    let ended = run(&bus, &["rollback", "0.9"]);
    assert_eq!((ended.exit, ended.errors.as_str()), (4, "app-cluster: for a reason\n"));
}
