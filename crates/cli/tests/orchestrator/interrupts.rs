//! The first Ctrl-C aborts the rollout. The second leaves it to the orchestrator.

use api::{RolloutState as State, StepState as Step};
use rustix::process::Signal;

use crate::fake::{ID, Orchestrator, Script, rollout};
use crate::process::{command, start};
use crate::{scripted, staying};

fn aborted_once(orchestrator: &Orchestrator) {
    assert_eq!(orchestrator.calls(), ["Reload by alice".to_owned(), format!("Abort {ID}")]);
}

#[test]
fn the_first_interrupt_aborts_the_rollout_and_waits_for_the_old_release() {
    let aborted = Some(rollout(State::Aborted, &[Step::Restored, Step::Waiting]));
    let script = Script { aborted, ..staying(State::Running, &[Step::Restarting, Step::Waiting]) };
    let (bus, orchestrator) = scripted(script);
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    running.signal(Signal::INT);
    running.says("going back to release 1.0; press Ctrl-C again to leave it to the orchestrator");
    assert_eq!(running.ends().exit, 2);
    aborted_once(&orchestrator);
}

#[test]
fn the_second_interrupt_ends_the_wait() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting]));
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    running.signal(Signal::INT);
    running.says("press Ctrl-C again to leave it to the orchestrator");
    running.signal(Signal::INT);
    assert_eq!(running.ends().exit, 130);
    aborted_once(&orchestrator);
}

#[test]
fn a_queued_rollout_is_withdrawn() {
    let aborted = Some(rollout(State::Aborted, &[Step::Waiting]));
    let (bus, orchestrator) = scripted(Script { aborted, ..staying(State::Queued, &[Step::Waiting]) });
    let running = start(command(&bus, &["reload"]));
    running.says("how it is");
    running.signal(Signal::INT);
    running.says("withdrawing it; press Ctrl-C again to leave it to the orchestrator");
    assert_eq!(running.ends().exit, 2);
    aborted_once(&orchestrator);
}

#[test]
fn an_abort_that_is_refused_leaves_the_rollout_to_its_end() {
    let (bus, orchestrator) = scripted(staying(State::Running, &[Step::Restarting]));
    let running = start(command(&bus, &["reload"]));
    running.says("worker@1: restarting");
    drop(orchestrator);
    let refusal: fn(String) -> api::Error = api::Error::Refused;
    let refusing = Script { refusal: Some(refusal), ..staying(State::Running, &[Step::Settling]) };
    let orchestrator = Orchestrator::start(&bus, refusing);
    running.says("worker@1: settling");
    running.signal(Signal::INT);
    running.says("it cannot be ended: for a reason");
    orchestrator.announce(rollout(State::Done, &[Step::Done]));
    assert_eq!(running.ends().exit, 0);
}
