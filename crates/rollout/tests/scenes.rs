//! The rollout machine, scene by scene.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use rollout::unit::ActiveState::{Activating, Active, Failed, Inactive};
use rollout::{
    Action, ActiveState, Event, Fault, Instance, InvocationId, JobResult, Outcome, Policy, Rollout,
};
use rollout::{StepState, Unit};

const SETTLE: Duration = Duration::from_secs(1);
const RESTORES: Policy = Policy { settle: SETTLE, can_restore: true };
const HALTS: Policy = Policy { settle: SETTLE, can_restore: false };

fn instance(number: u32) -> Instance {
    Instance::new(number).unwrap()
}

/// A process: the n-th that runs in some worker.
fn process(n: u8) -> Option<InvocationId> {
    Some(InvocationId([n; 16]))
}

fn unit(active: ActiveState, n: u8) -> Unit {
    Unit { active, invocation: process(n), restarts: 0, has_job: false }
}

fn begin(workers: u32, policy: Policy) -> Rollout {
    let plan: Vec<_> = Instance::first(workers).map(|i| (i, process(1))).collect();
    let (rollout, actions) = Rollout::begin(&plan, policy);
    assert_eq!(actions, [Action::Restart(instance(1))]);
    rollout
}

fn job(number: u32, result: JobResult, unit: Unit) -> Event {
    Event::JobFinished { instance: instance(number), result, unit }
}

fn looked(number: u32, unit: Unit) -> Event {
    Event::Looked { instance: instance(number), unit }
}

fn settled(number: u32, unit: Unit) -> Event {
    Event::Settled { instance: instance(number), unit }
}

/// Replaces one worker without a hitch; returns what comes after.
fn replace(rollout: &mut Rollout, number: u32) -> Vec<Action> {
    let actions = rollout.handle(job(number, JobResult::Done, unit(Active, 2)));
    assert_eq!(actions, [Action::Settle(instance(number), SETTLE)]);
    rollout.handle(settled(number, unit(Active, 2)))
}

#[test]
fn replaces_one_after_another() {
    let mut rollout = begin(3, RESTORES);
    assert_eq!(replace(&mut rollout, 1), [Action::Restart(instance(2))]);
    assert_eq!(replace(&mut rollout, 2), [Action::Restart(instance(3))]);
    assert_eq!(replace(&mut rollout, 3), [Action::Finish(Outcome::Done)]);
    assert!(rollout.steps().iter().all(|step| step.state == StepState::Done));
}

#[test]
fn nothing_to_replace_is_done_at_once() {
    let (_, actions) = Rollout::begin(&[], RESTORES);
    assert_eq!(actions, [Action::Finish(Outcome::Done)]);
}

#[test]
fn a_first_worker_that_fails_is_put_back_and_the_others_stay_untouched() {
    let mut rollout = begin(3, RESTORES);
    let actions = rollout.handle(job(1, JobResult::Failed, unit(Activating, 2)));
    assert_eq!(actions, [Action::RestoreRelease, Action::Restart(instance(1))]);
    let outcome = Outcome::Restored(instance(1), Fault::Job(JobResult::Failed));
    let actions = rollout.handle(job(1, JobResult::Done, unit(Active, 3)));
    assert_eq!(actions, [Action::Finish(outcome)]);
    let states: Vec<_> = rollout.steps().iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Restored, StepState::Waiting, StepState::Waiting]);
}

#[test]
fn a_later_failure_brings_the_replaced_ones_back_too() {
    let mut rollout = begin(3, RESTORES);
    replace(&mut rollout, 1);
    rollout.handle(job(2, JobResult::Timeout, unit(Activating, 2)));
    let actions = rollout.handle(job(2, JobResult::Done, unit(Active, 3)));
    assert_eq!(actions, [Action::Restart(instance(1))]);
    let outcome = Outcome::Restored(instance(2), Fault::Job(JobResult::Timeout));
    assert_eq!(rollout.handle(job(1, JobResult::Done, unit(Active, 3))), [Action::Finish(outcome)]);
}

#[test]
fn a_worker_that_does_not_come_back_makes_the_rollout_failed() {
    let mut rollout = begin(2, RESTORES);
    replace(&mut rollout, 1);
    rollout.handle(job(2, JobResult::Failed, unit(Failed, 2)));
    assert_eq!(
        rollout.handle(job(2, JobResult::Failed, unit(Failed, 3))),
        [Action::Restart(instance(1))],
        "the other one still goes back"
    );
    let outcome = Outcome::Failed(instance(2), Fault::Job(JobResult::Failed));
    assert_eq!(rollout.handle(job(1, JobResult::Done, unit(Active, 3))), [Action::Finish(outcome)]);
}

#[test]
fn without_an_old_release_it_stops_where_it_is() {
    let mut rollout = begin(2, HALTS);
    let outcome = Outcome::Failed(instance(1), Fault::Job(JobResult::Failed));
    let actions = rollout.handle(job(1, JobResult::Failed, unit(Activating, 2)));
    assert_eq!(actions, [Action::Finish(outcome)]);
}

#[test]
fn a_done_job_proves_nothing() {
    let mut rollout = begin(1, HALTS);
    let actions = rollout.handle(job(1, JobResult::Done, unit(Inactive, 2)));
    assert_eq!(actions, [Action::Finish(Outcome::Failed(instance(1), Fault::NotActive(Inactive)))]);

    let mut rollout = begin(1, HALTS);
    let actions = rollout.handle(job(1, JobResult::Done, unit(Active, 1)));
    assert_eq!(actions, [Action::Finish(Outcome::Failed(instance(1), Fault::SameProcess))]);
}

#[test]
fn ready_is_not_settled() {
    let crashed_and_back =
        [Unit { restarts: 1, ..unit(Active, 2) }, unit(Active, 3), unit(Activating, 2), unit(Inactive, 2)];
    for seen in crashed_and_back {
        for event in [looked(1, seen), settled(1, seen)] {
            let mut rollout = begin(2, HALTS);
            rollout.handle(job(1, JobResult::Done, unit(Active, 2)));
            let outcome = Outcome::Failed(instance(1), Fault::Unsettled);
            assert_eq!(rollout.handle(event), [Action::Finish(outcome)]);
        }
    }
}

#[test]
fn a_missed_job_signal_is_made_up_by_looking() {
    let mut rollout = begin(1, HALTS);
    let running = Unit { has_job: true, ..unit(Activating, 2) };
    assert!(matches!(rollout.handle(looked(1, running))[..], [Action::Ignore(_)]));
    assert!(matches!(rollout.handle(looked(1, unit(Activating, 2)))[..], [Action::Ignore(_)]));
    let actions = rollout.handle(looked(1, unit(Active, 2)));
    assert_eq!(actions, [Action::Settle(instance(1), SETTLE)]);
}

#[test]
fn a_job_that_vanished_is_enqueued_again() {
    let mut rollout = begin(1, HALTS);
    assert_eq!(rollout.handle(looked(1, unit(Active, 1))), [Action::Restart(instance(1))]);
}

#[test]
fn a_process_of_the_bad_release_is_not_taken_for_restored() {
    let mut rollout = begin(2, RESTORES);
    replace(&mut rollout, 1);
    rollout.handle(job(2, JobResult::Failed, unit(Failed, 2)));
    rollout.handle(job(2, JobResult::Done, unit(Active, 3)));
    assert_eq!(rollout.handle(looked(1, unit(Active, 2))), [Action::Restart(instance(1))]);
}

#[test]
fn an_abort_waits_for_the_worker_at_hand() {
    let mut rollout = begin(3, RESTORES);
    assert!(rollout.handle(Event::AbortRequested).is_empty());
    assert_eq!(replace(&mut rollout, 1), [Action::Finish(Outcome::Aborted)]);
}

#[test]
fn a_refused_job_is_a_failure_with_systemds_reason() {
    let mut rollout = begin(2, HALTS);
    let reason = "access denied".to_owned();
    let actions = rollout.handle(Event::JobRefused { instance: instance(1), reason: reason.clone() });
    assert_eq!(actions, [Action::Finish(Outcome::Failed(instance(1), Fault::Refused(reason)))]);
}
