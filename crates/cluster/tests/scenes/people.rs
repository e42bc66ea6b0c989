//! Operators interfere: they pause, resume and abort the rollout, and stop workers.

use cluster::unit::ActiveState::{Active, Deactivating, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Cause, Event, OnFailure, Outcome, Policy, StepState};

use crate::scene::Ask::{self, Finish, Ignore, Restart, RestoreRelease, Stop};
use crate::scene::{FIRST_RELEASE, IN_PLACE, POLICY, Scene, instance, new, old, unit};

#[test]
fn a_canary_waits_until_somebody_resumes() {
    let mut scene = Scene::new(3, 0, Policy { canary: Some(1), ..IN_PLACE });
    assert_eq!(scene.replace(1), []);
    assert!(scene.rollout.is_waiting());
    assert_eq!(scene.event(Event::Resume), [Restart(2)]);
    assert!(!scene.rollout.is_waiting());
    assert_eq!(scene.replace(2), [Restart(3)]);
}

#[test]
fn a_canary_is_put_back_when_somebody_aborts() {
    let mut scene = Scene::new(2, 1, Policy { canary: Some(2), ..POLICY });
    scene.replace(3);
    assert_eq!(scene.replace(1), []);
    assert_eq!(scene.event(Event::Abort), [RestoreRelease]);
    scene.looked(2, old());
    assert_eq!(scene.looked(1, new()), [Restart(1)]);
    assert_eq!(scene.put_back(1), [Stop(3)]);
    assert_eq!(scene.looked(3, unit(Inactive, 2)), [Finish(Outcome::Restored(Cause::Aborted))]);
}

/// A resume takes a pause back. It does not decide about workers of which no one has seen anything yet.
#[test]
fn a_resume_before_the_canary_is_in_place_keeps_it() {
    let mut scene = Scene::new(3, 0, Policy { canary: Some(1), ..IN_PLACE });
    scene.event(Event::Pause);
    assert_eq!(scene.event(Event::Resume), []);
    assert_eq!(scene.replace(1), []);
    assert!(scene.rollout.is_waiting());
}

/// Two workers are restarted at once, and one of them fails.
#[test]
fn an_abort_goes_back_although_the_rollout_halts() {
    let policy = Policy { on_failure: OnFailure::Halt, max_unavailable: 2, ..POLICY };
    let mut scene = Scene::new(4, 0, policy);
    assert_eq!(scene.replace(1), [Restart(2), Restart(3)]);
    assert_eq!(scene.job(2, JobResult::Failed, unit(Inactive, 2)), []);
    assert_eq!(scene.event(Event::Abort), [RestoreRelease]);
}

#[test]
fn a_pause_lets_the_worker_under_way_come_through() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.event(Event::Pause), []);
    assert!(!scene.rollout.is_waiting(), "one is under way");
    assert_eq!(scene.replace(1), []);
    assert!(scene.rollout.is_waiting());
    assert_eq!(scene.event(Event::Resume), [Restart(2)]);
}

#[test]
fn an_abort_without_an_old_release_ends_after_the_worker_under_way() {
    let mut scene = Scene::new(3, 0, FIRST_RELEASE);
    assert_eq!(scene.event(Event::Abort), []);
    assert_eq!(scene.replace(1), [Finish(Outcome::Stopped)]);
}

#[test]
fn an_abort_comes_too_late_when_only_extra_workers_drain() {
    let mut scene = Scene::new(1, 1, POLICY);
    scene.replace(2);
    assert_eq!(scene.replace(1), [Stop(2)]);
    assert_eq!(scene.event(Event::Abort), [Ignore]);
    assert_eq!(scene.event(Event::Deadline), [Ignore]);
    assert_eq!(scene.looked(2, unit(Inactive, 2)), [Finish(Outcome::Done)]);
}

#[test]
fn a_worker_that_somebody_stops_meanwhile_is_skipped() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.job(1, JobResult::Canceled, Unit { has_job: true, ..unit(Deactivating, 1) }), [Ignore]);
    assert_eq!(scene.looked(1, unit(Inactive, 1)), [Ask::LinkBack(1), Restart(2)]);
    assert_eq!(scene.replace(2), [Finish(Outcome::Done)]);
    assert_eq!(scene.states()[0], (1, StepState::Skipped));
}

#[test]
fn a_held_worker_is_skipped_until_it_is_started() {
    let mut scene = Scene::new(3, 0, IN_PLACE);
    assert_eq!(scene.event(Event::Held(instance(2))), []);
    assert_eq!(scene.replace(1), [Restart(3)]);
    assert_eq!(scene.looked(2, unit(Active, 4)), []);
    assert_eq!(scene.replace(3), [Restart(2)]);
}

#[test]
fn a_release_is_not_blamed_for_a_worker_that_somebody_stops_while_it_settles() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.job(1, JobResult::Done, new()), [Ask::Settle(1)]);
    let on_its_way = Unit { has_job: true, ..unit(Deactivating, 2) };
    assert_eq!(scene.looked(1, on_its_way), [Ignore]);
    assert_eq!(scene.settled(1, on_its_way), [Ask::Settle(1)], "it is looked at again");
    assert_eq!(scene.event(Event::Held(instance(1))), [Ask::LinkBack(1), Restart(2)]);
    // A worker that crashes has no job then.
    assert_eq!(scene.job(2, JobResult::Done, new()), [Ask::Settle(2)]);
    assert_eq!(scene.looked(2, unit(Inactive, 2))[0], RestoreRelease);
}

#[test]
fn a_worker_stopped_while_it_settles_is_skipped() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.job(1, JobResult::Done, new());
    assert_eq!(scene.event(Event::Held(instance(1))), [Ask::LinkBack(1), Restart(2)]);
}
