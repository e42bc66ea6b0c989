//! Signals, jobs and orchestrators that are lost, and events that come too late.

use cluster::unit::ActiveState::{Activating, Active, Deactivating, Failed, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Cause, Event, Outcome, Policy, Rollout};

use crate::scene::Ask::{Finish, Ignore, Restart, RestoreRelease, Settle};
use crate::scene::{IN_PLACE, POLICY, Scene, instance, new, old, planned, planned_of, unit};

#[test]
fn a_lost_signal_is_made_up_by_looking() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    scene.enqueued(1);
    assert_eq!(scene.looked(1, Unit { has_job: true, ..unit(Activating, 2) }), [Ignore]);
    assert_eq!(scene.looked(1, unit(Activating, 2)), [Ignore]);
    assert_eq!(scene.looked(1, new()), [Settle(1)]);
    assert_eq!(scene.job(1, JobResult::Done, new()), [Ignore], "late");
    assert_eq!(scene.settled(1, new()), [Finish(Outcome::Done)]);
    assert_eq!(scene.settled(1, new()), [Ignore], "twice");
}

#[test]
fn a_failure_nobody_told_about_is_seen() {
    let failed = [unit(Failed, 2), Unit { restarts: 1, ..unit(Activating, 2) }, unit(Inactive, 2)];
    for seen in failed {
        let mut scene = Scene::new(2, 0, IN_PLACE);
        scene.enqueued(1);
        assert_eq!(scene.looked(1, seen), [RestoreRelease]);
    }
}

#[test]
fn a_job_that_vanished_is_enqueued_again() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    scene.enqueued(1);
    assert_eq!(scene.looked(1, old()), [Restart(1)]);
}

#[test]
fn who_has_been_asked_for_is_not_counted_on_although_the_answer_is_lost() {
    let mut scene = Scene::new(3, 0, Policy { max_unavailable: 2, ..POLICY });
    assert_eq!(scene.replace(1), [Restart(2), Restart(3)]);
    scene.looked(1, unit(Activating, 4));
    assert_eq!(scene.looked(2, old()), [Ignore], "only 3 could serve, and its job may be on its way");
    assert_eq!(scene.looked(3, old()), [Restart(3)], "2 serves, and waits");
    assert_eq!(scene.looked(2, old()), [Ignore]);
    assert_eq!(scene.looked(1, new()), []);
    assert_eq!(scene.looked(2, old()), [Restart(2)]);
}

#[test]
fn a_worker_of_which_a_call_got_no_answer_is_not_counted_on() {
    let mut scene = Scene::new(3, 0, Policy { max_unavailable: 2, ..POLICY });
    assert_eq!(scene.replace(1), [Restart(2), Restart(3)]);
    scene.looked(1, unit(Activating, 4));
    let unanswered = Unit { may_go: true, ..old() };
    assert_eq!(scene.looked(2, unanswered), [Ignore]);
    assert_eq!(scene.looked(3, unanswered), [Ignore], "2 serves, but systemd may still restart it");
    assert_eq!(scene.looked(2, old()), [Ignore], "so may it restart 3");
    assert_eq!(scene.looked(3, old()), [Restart(3)], "2 serves, and nothing takes it away");
}

#[test]
fn a_resumed_rollout_lets_the_replaced_ones_settle_and_takes_the_others() {
    let (rollout, actions) = Rollout::begin(&planned(&[new(), new(), old()], 0, &[1, 2]), IN_PLACE, false);
    let mut scene = Scene::begun(rollout, actions);
    assert_eq!(scene.asked(), [Settle(1), Settle(2)]);
    assert_eq!(scene.settled(1, new()), []);
    assert_eq!(scene.settled(2, new()), [Restart(3)]);
    assert_eq!(scene.replace(3), [Finish(Outcome::Done)]);
}

#[test]
fn an_inherited_extra_worker_stays_while_others_are_missing() {
    let drains = Unit { has_job: true, ..unit(Deactivating, 1) };
    let plan = planned_of(3, &[drains, new(), old(), new(), new()], 2, &[2, 4, 5]);
    let (rollout, actions) = Rollout::begin(&plan, POLICY, false);
    let mut scene = Scene::begun(rollout, actions);
    let crashed = Unit { restarts: 1, ..unit(Activating, 5) };
    assert_eq!(scene.looked(2, crashed), [RestoreRelease], "and no extra worker is stopped");
}

#[test]
fn a_way_back_is_gone_on_with() {
    let plan = planned(&[unit(Active, 3), new(), unit(Activating, 2), old()], 0, &[2, 3]);
    let (rollout, actions) = Rollout::go_back(&plan, IN_PLACE, Cause::Interrupted);
    let mut scene = Scene::begun(rollout, actions);
    assert_eq!(scene.asked(), [RestoreRelease]);
    scene.looked(1, unit(Active, 3));
    scene.looked(2, new());
    scene.looked(3, unit(Activating, 2));
    assert_eq!(scene.looked(4, old()), [Restart(3)], "who does not serve comes first");
    assert_eq!(scene.put_back(3), [Restart(2)]);
    assert_eq!(scene.put_back(2), [Finish(Outcome::Restored(Cause::Interrupted))]);
}

#[test]
fn nothing_follows_the_end() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    assert_eq!(scene.replace(1), [Finish(Outcome::Done)]);
    for event in [Event::Abort, Event::Deadline, Event::Resume, Event::Enqueued(instance(1))] {
        assert_eq!(scene.event(event), [Ignore]);
    }
}
