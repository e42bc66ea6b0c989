//! A new worker that settles, but answers worse than the old ones.

use std::time::Duration;

use cluster::numbers::{Compared, Excess, Figures, Limits, Millionths};
use cluster::unit::ActiveState::{Activating, Active, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Event, Fault, OnFailure, Outcome, Policy, StepState};

use crate::scene::Ask::{Finish, Restart, RestoreRelease, Settle, Stop, TellUndecided};
use crate::scene::{FIRST_RELEASE, IN_PLACE, POLICY, Scene, fault, instance, new, old, unit};

const LIMITS: Limits =
    Limits { max_error_ratio: Some(Millionths(50_000)), max_latency_ratio: None, min_requests: 100 };
const COMPARING: Policy = Policy { limits: LIMITS, ..POLICY };
const FINE: Figures = Figures { errors: 0, others: 500, p99: Some(Duration::from_millis(5)) };
const WRONG: Figures = Figures { errors: 100, others: 400, ..FINE };
const IDLE: Figures = Figures { errors: 0, others: 3, ..FINE };

fn compared(new: Figures) -> Result<Compared, String> {
    Ok(Compared { new, old: FINE })
}

fn errors() -> Fault {
    Fault::Numbers(Excess::Errors(Compared { new: WRONG, old: FINE }))
}

/// The workers whose answers are counted while this one settles.
fn named(scene: &Scene, number: u32) -> Vec<u32> {
    scene.rollout.to_compare(instance(number)).into_iter().map(|instance| instance.number()).collect()
}

#[test]
fn a_release_that_answers_with_errors_is_found_out_on_the_extra_worker() {
    let mut scene = Scene::new(2, 1, COMPARING);
    assert_eq!(scene.job(3, JobResult::Done, new()), [Settle(3)]);
    assert_eq!(scene.settled_with(3, new(), compared(WRONG)), [RestoreRelease, Stop(3)]);
    scene.look_at(&[1, 2], old());
    let outcome = Outcome::Restored(fault(3, errors()));
    assert_eq!(scene.looked(3, unit(Inactive, 2)), [Finish(outcome)]);
    assert_eq!(scene.states()[1..], [(1, StepState::Waiting), (2, StepState::Waiting)]);
}

#[test]
fn one_in_place_goes_back_to_the_old_release() {
    let mut scene = Scene::new(2, 0, Policy { limits: LIMITS, ..IN_PLACE });
    scene.job(1, JobResult::Done, new());
    assert_eq!(scene.settled_with(1, new(), compared(WRONG)), [RestoreRelease]);
    scene.looked(2, old());
    assert_eq!(scene.looked(1, new()), [Restart(1)], "it serves, and what it serves is wrong");
    assert_eq!(scene.put_back(1), [Finish(Outcome::Restored(fault(1, errors())))]);
}

#[test]
fn where_nothing_can_be_undone_nobody_else_is_touched() {
    for policy in [FIRST_RELEASE, Policy { on_failure: OnFailure::Halt, ..IN_PLACE }] {
        let mut scene = Scene::new(3, 0, Policy { limits: LIMITS, ..policy });
        scene.job(1, JobResult::Done, new());
        let outcome = Outcome::Failed(fault(1, errors()));
        assert_eq!(scene.settled_with(1, new(), compared(WRONG)), [Finish(outcome)]);
        assert_eq!(scene.states()[1..], [(2, StepState::Waiting), (3, StepState::Waiting)]);
    }
}

#[test]
fn one_that_keeps_the_limits_comes_through() {
    let mut scene = Scene::new(2, 1, COMPARING);
    scene.job(3, JobResult::Done, new());
    assert_eq!(scene.settled_with(3, new(), compared(FINE)), [Restart(1)]);
}

#[test]
fn without_limits_numbers_say_nothing() {
    let mut scene = Scene::new(2, 1, POLICY);
    scene.job(3, JobResult::Done, new());
    assert_eq!(named(&scene, 3), []);
    assert_eq!(scene.settled_with(3, new(), compared(WRONG)), [Restart(1)]);
}

#[test]
fn numbers_are_no_excuse_for_one_that_did_not_stay_ready() {
    let mut scene = Scene::new(2, 0, Policy { limits: LIMITS, ..FIRST_RELEASE });
    scene.job(1, JobResult::Done, new());
    let outcome = Outcome::Failed(fault(1, Fault::Unsettled));
    assert_eq!(scene.settled_with(1, unit(Active, 3), compared(FINE)), [Finish(outcome)]);
}

#[test]
fn one_that_has_yet_to_feed_its_watchdog_is_judged_when_it_has() {
    let fed = |ms| Unit { fed_after: Some(Duration::from_millis(ms)), ..new() };
    let mut scene = Scene::new(2, 1, COMPARING);
    scene.job(3, JobResult::Done, fed(0));
    assert_eq!(scene.settled_with(3, fed(100), compared(IDLE)), [Settle(3)], "and nothing is told");
    assert_eq!(scene.settled_with(3, fed(900), compared(WRONG)), [RestoreRelease, Stop(3)]);
}

#[test]
fn that_nothing_could_be_decided_is_told_once() {
    let mut scene = Scene::new(3, 1, COMPARING);
    scene.job(4, JobResult::Done, new());
    assert_eq!(scene.settled_with(4, new(), compared(IDLE)), [TellUndecided(4), Restart(1)]);
    scene.job(1, JobResult::Done, new());
    assert_eq!(scene.settled(1, new()), [Restart(2)]);
    scene.job(2, JobResult::Done, new());
    assert_eq!(
        scene.settled_with(2, new(), compared(WRONG)),
        [RestoreRelease],
        "it is looked at all the same"
    );
}

#[test]
fn the_last_worker_has_nobody_to_be_compared_with_and_that_is_no_news() {
    let mut scene = Scene::new(1, 1, COMPARING);
    scene.job(2, JobResult::Done, new());
    assert_eq!(scene.settled_with(2, new(), compared(FINE)), [Restart(1)]);
    scene.job(1, JobResult::Done, new());
    assert_eq!(named(&scene, 1), [1]);
    assert_eq!(scene.settled(1, new()), [Stop(2)]);
}

#[test]
fn old_are_those_that_were_not_touched_and_have_not_crashed() {
    let mut scene = Scene::new(5, 1, COMPARING);
    assert_eq!(named(&scene, 6), [], "it is not ready");
    scene.job(6, JobResult::Done, new());
    assert_eq!(named(&scene, 6), [6, 5, 4, 3, 2, 1], "who is replaced last comes first");
    assert_eq!(named(&scene, 1), [], "it does not settle");
    assert_eq!(scene.settled_with(6, new(), compared(FINE)), [Restart(1)]);
    scene.job(1, JobResult::Done, new());
    scene.looked(3, Unit { restarts: 1, ..unit(Active, 7) });
    scene.looked(4, unit(Activating, 8));
    scene.event(Event::Held(instance(5)));
    assert_eq!(named(&scene, 1), [1, 2]);
}

#[test]
fn a_few_dozen_old_ones_are_enough() {
    let mut scene = Scene::new(100, 1, COMPARING);
    scene.job(101, JobResult::Done, new());
    let named = named(&scene, 101);
    assert_eq!((named.len(), named[0], named[1], named[32]), (33, 101, 100, 69));
}
