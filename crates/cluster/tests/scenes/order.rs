//! Which worker is taken, and when.

use cluster::unit::ActiveState::{Activating, Active, Failed, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Action, Outcome, Policy, Rollout};

use crate::scene::Ask::{Finish, Restart, Settle, Stop};
use crate::scene::{IN_PLACE, POLICY, Scene, new, old, unit};

#[test]
fn an_extra_worker_is_started_first_and_stopped_last() {
    let mut scene = Scene::new(2, 1, POLICY);
    assert_eq!(scene.asked(), [Restart(3)]);
    assert_eq!(scene.replace(3), [Restart(1)]);
    assert_eq!(scene.replace(1), [Restart(2)]);
    assert_eq!(scene.replace(2), [Stop(3)]);
    assert_eq!(scene.job(3, JobResult::Done, unit(Inactive, 2)), [Finish(Outcome::Done)]);
}

#[test]
fn in_place_they_follow_one_another() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.asked(), [Restart(1)]);
    assert_eq!(scene.replace(1), [Restart(2)]);
    assert_eq!(scene.replace(2), [Finish(Outcome::Done)]);
}

#[test]
fn nothing_to_replace_is_done_at_once() {
    let (_, actions) = Rollout::begin(&[], POLICY, false);
    assert_eq!(actions, [Action::Finish(Outcome::Done)]);
}

#[test]
fn after_the_first_they_go_in_waves() {
    let mut scene = Scene::new(5, 0, Policy { max_unavailable: 2, ..POLICY });
    assert_eq!(scene.asked(), [Restart(1)], "the first is alone");
    assert_eq!(scene.job(1, JobResult::Done, new()), [Settle(1)]);
    assert_eq!(scene.settled(1, new()), [Restart(2), Restart(3)]);
    assert_eq!(scene.replace(3), [Restart(4)]);
}

#[test]
fn workers_that_do_not_serve_are_taken_first() {
    let scene = Scene::with(&[old(), old(), unit(Failed, 1)], 0, IN_PLACE);
    assert_eq!(scene.asked(), [Restart(3)]);
}

#[test]
fn none_that_serves_is_taken_while_another_is_down() {
    let mut scene = Scene::new(3, 1, POLICY);
    assert_eq!(scene.looked(2, unit(Activating, 1)), []);
    assert_eq!(scene.replace(4), [Restart(2)], "who is down costs nothing");
    assert_eq!(scene.replace(2), [Restart(1)]);
    assert_eq!(scene.looked(3, unit(Activating, 1)), []);
    assert_eq!(scene.replace(1), [Restart(3)]);
    assert_eq!(scene.looked(2, Unit { restarts: 1, ..unit(Activating, 2) }), []);
    assert_eq!(scene.replace(3), [], "the extra one stands in");
    assert_eq!(scene.looked(2, Unit { restarts: 1, ..unit(Active, 4) }), [Stop(4)]);
}
