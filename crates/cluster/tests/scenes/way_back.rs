//! The way back to the old release.

use cluster::unit::ActiveState::{Activating, Active, Deactivating, Failed, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Event, Fault, Outcome};

use crate::scene::Ask::{Finish, Restart, RestoreRelease, Stop};
use crate::scene::{IN_PLACE, POLICY, Scene, fault, instance, new, old, unit};

#[test]
fn the_way_back_begins_with_who_was_replaced_first() {
    let mut scene = Scene::new(4, 1, POLICY);
    (0..3).for_each(|_| {
        let Some(Restart(number)) = scene.asked().pop() else { panic!("{:?}", scene.last) };
        scene.replace(number);
    });
    assert_eq!(scene.job(3, JobResult::Failed, unit(Activating, 2)), [RestoreRelease]);
    scene.look_at(&[1, 2], new());
    scene.looked(3, unit(Activating, 2));
    assert_eq!(scene.looked(4, old()), [Restart(3)], "it does not serve");
    assert_eq!(scene.put_back(3), [Restart(1)]);
    assert_eq!(scene.put_back(1), [Restart(2)]);
    assert_eq!(scene.put_back(2), [Stop(5)]);
}

#[test]
fn a_worker_that_does_not_come_back_makes_the_rollout_failed() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.replace(1);
    scene.job(2, JobResult::Failed, unit(Failed, 2));
    scene.looked(1, new());
    assert_eq!(scene.looked(2, unit(Failed, 2)), [Restart(2)]);
    assert_eq!(
        scene.job(2, JobResult::Failed, unit(Failed, 3)),
        [Restart(1)],
        "the other one still goes back"
    );
    let outcome = Outcome::Failed(fault(2, Fault::Job(JobResult::Failed)));
    assert_eq!(scene.put_back(1), [Finish(outcome)]);
}

#[test]
fn a_worker_that_is_back_before_systemd_has_our_job_is_not_restarted() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.replace(1);
    scene.job(2, JobResult::Failed, unit(Failed, 2));
    scene.looked(1, new());
    assert_eq!(scene.looked(2, unit(Failed, 2)), [Restart(2)]);
    scene.rollout.note_old(instance(2), true);
    assert_eq!(scene.looked(2, unit(Active, 4)), [Restart(1)]);
}

#[test]
fn a_worker_that_comes_back_late_has_come_back() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.replace(1);
    scene.job(2, JobResult::Failed, unit(Failed, 2));
    scene.looked(1, new());
    scene.looked(2, unit(Failed, 2));
    scene.enqueued(2);
    scene.job(2, JobResult::Failed, unit(Activating, 3));
    assert_eq!(scene.looked(2, unit(Active, 4)), []);
    assert!(matches!(scene.put_back(1)[..], [Finish(Outcome::Restored(_))]));
}

/// Between its own restart and ours, a worker that failed comes up on the old release.
#[test]
fn no_worker_that_serves_is_put_back_while_one_comes_back_by_itself() {
    let mut scene = Scene::new(2, 1, POLICY);
    scene.replace(3);
    scene.replace(1);
    scene.job(2, JobResult::Failed, unit(Activating, 2));
    scene.look_at(&[1, 3], new());
    scene.rollout.note_old(instance(2), true);
    assert_eq!(scene.looked(2, unit(Activating, 3)), [], "worker 1 would leave one of two");
    assert_eq!(scene.looked(2, unit(Active, 3)), [Restart(1)]);
}

/// The time for the whole rollout was the reason to go back, so it is over already.
#[test]
fn a_late_rollout_does_not_wait_for_a_worker_that_comes_back_by_itself() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.event(Event::Deadline), [RestoreRelease]);
    scene.looked(2, old());
    scene.rollout.note_old(instance(1), true);
    assert_eq!(scene.looked(1, unit(Activating, 3)), [Restart(1)]);
}

/// polkit has not decided about its restart when the rollout goes back.
#[test]
fn a_worker_that_is_about_to_be_restarted_does_not_count_as_one_that_serves() {
    let mut scene = Scene::new(2, 1, POLICY);
    scene.replace(3);
    assert_eq!(scene.replace(1), [Restart(2)]);
    assert_eq!(scene.event(Event::Abort), [RestoreRelease]);
    scene.rollout.note_old(instance(2), true);
    scene.looked(2, Unit { has_job: true, ..old() });
    scene.look_at(&[3], new());
    assert_eq!(scene.looked(1, new()), [], "only the extra worker would be left");
}

#[test]
fn a_worker_that_served_only_when_it_was_taken_has_to_come_back_too() {
    let mut scene = Scene::with(&[unit(Activating, 1)], 1, POLICY);
    scene.looked(1, unit(Active, 7));
    assert_eq!(scene.replace(2), [Restart(1)]);
    assert_eq!(scene.too_long(1), [RestoreRelease]);
    scene.looked(2, new());
    assert_eq!(scene.looked(1, unit(Deactivating, 7)), [Restart(1)]);
    assert_eq!(scene.too_long(1), [Finish(Outcome::Failed(fault(1, Fault::TooLong)))]);
}

#[test]
fn a_failed_job_that_is_heard_of_after_the_worker_has_come_back_is_no_failure() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    scene.job(1, JobResult::Failed, unit(Failed, 2));
    assert_eq!(scene.looked(1, unit(Failed, 2)), [Restart(1)]);
    assert!(matches!(scene.job(1, JobResult::Failed, unit(Active, 4))[..], [Finish(Outcome::Restored(_))]));
}

#[test]
fn a_worker_that_crashed_meanwhile_has_come_back_as_what_it_was_and_is_left_alone() {
    let mut scene = Scene::new(2, 1, POLICY);
    scene.job(3, JobResult::Failed, unit(Activating, 2));
    assert_eq!(scene.looked(3, unit(Inactive, 2)), [], "the others have not been looked at");
    assert_eq!(scene.looked(1, old()), []);
    assert!(matches!(scene.looked(2, unit(Activating, 7))[..], [Finish(Outcome::Restored(_))]));
}
