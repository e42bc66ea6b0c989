//! What ends the way forward.

use cluster::unit::ActiveState::{Activating, Active, Deactivating, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Event, Fault, OnFailure, Outcome, Policy, StepState};

use crate::scene::Ask::{Finish, Ignore, Restart, RestoreRelease, Stop};
use crate::scene::{IN_PLACE, POLICY, Scene, fault, instance, new, old, unit};

#[test]
fn a_bad_release_is_found_out_on_the_extra_worker() {
    let mut scene = Scene::new(2, 1, POLICY);
    assert_eq!(scene.job(3, JobResult::Failed, unit(Activating, 2)), [RestoreRelease, Stop(3)]);
    scene.look_at(&[1, 2], old());
    let cause = fault(3, Fault::Job(JobResult::Failed));
    assert_eq!(scene.looked(3, unit(Inactive, 2)), [Finish(Outcome::Restored(cause))]);
    assert_eq!(scene.states()[1..], [(1, StepState::Waiting), (2, StepState::Waiting)]);
}

#[test]
fn a_bad_release_never_reaches_the_second_worker() {
    let mut scene = Scene::new(3, 0, IN_PLACE);
    assert_eq!(scene.job(1, JobResult::Failed, unit(Activating, 2)), [RestoreRelease]);
    assert_eq!(scene.look_at(&[2, 3], old()), [], "all are looked at first");
    assert_eq!(scene.looked(1, unit(Activating, 2)), [Restart(1)]);
    let cause = fault(1, Fault::Job(JobResult::Failed));
    assert_eq!(scene.put_back(1), [Finish(Outcome::Restored(cause))]);
}

#[test]
fn a_halt_leaves_all_as_they_are() {
    let mut scene = Scene::new(3, 0, Policy { on_failure: OnFailure::Halt, ..IN_PLACE });
    scene.replace(1);
    let outcome = Outcome::Failed(fault(2, Fault::Job(JobResult::Timeout)));
    assert_eq!(scene.job(2, JobResult::Timeout, unit(Activating, 2)), [Finish(outcome)]);
    assert_eq!(scene.states()[2], (3, StepState::Waiting));
}

#[test]
fn a_rollout_whose_time_runs_out_while_the_last_worker_settles_is_done() {
    let mut scene = Scene::new(2, 0, Policy { on_failure: OnFailure::Halt, ..IN_PLACE });
    scene.replace(1);
    scene.job(2, JobResult::Done, new());
    assert_eq!(scene.event(Event::Deadline), []);
    assert_eq!(scene.settled(2, new()), [Finish(Outcome::Done)]);
}

#[test]
fn a_refused_job_leaves_its_worker_untouched() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.refused(1), [RestoreRelease]);
    assert_eq!(scene.looked(1, old()), []);
    let cause = fault(1, Fault::Refused("access denied".to_owned()));
    assert_eq!(scene.looked(2, old()), [Finish(Outcome::Restored(cause))]);
}

#[test]
fn a_worker_that_takes_too_long_turns_the_rollout_around() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.enqueued(1);
    assert_eq!(scene.too_long(1), [RestoreRelease]);
    scene.looked(2, old());
    assert_eq!(scene.looked(1, Unit { has_job: true, ..unit(Deactivating, 1) }), [Restart(1)]);
    let outcome = Outcome::Restored(fault(1, Fault::TooLong));
    assert_eq!(scene.put_back(1), [Finish(outcome)]);
}

#[test]
fn the_deadline_of_an_earlier_try_is_over() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    let (_, first) = scene.attempts[0];
    scene.too_long(1);
    scene.looked(2, old());
    assert_eq!(scene.looked(1, unit(Activating, 2)), [Restart(1)]);
    assert_eq!(scene.event(Event::StepDeadline { instance: instance(1), attempt: first }), [Ignore]);
}

#[test]
fn a_rollout_that_takes_too_long_is_undone() {
    let mut scene = Scene::new(3, 0, IN_PLACE);
    scene.replace(1);
    assert_eq!(scene.event(Event::Deadline), [RestoreRelease]);
    assert_eq!(scene.event(Event::Deadline), []);
    scene.looked(1, new());
    scene.looked(2, unit(Activating, 2));
    assert_eq!(scene.looked(3, old()), [Restart(2)], "who does not serve comes first");
}

#[test]
fn when_most_of_the_replaced_ones_have_crashed_it_is_the_release() {
    let mut scene = Scene::new(4, 0, IN_PLACE);
    let crashed = Unit { restarts: 1, ..unit(Active, 5) };
    (1..=3).for_each(|number| drop(scene.replace(number)));
    assert_eq!(scene.looked(1, crashed), [], "one in three may have any reason");
    assert_eq!(scene.looked(1, crashed), [], "and is one only");
    let asked = scene.looked(2, crashed);
    assert_eq!(asked[0], RestoreRelease);
    assert_eq!(scene.rollout.cause(), Some(&fault(2, Fault::Crashed)));
}
