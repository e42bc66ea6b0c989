//! What proves that a worker has been replaced, and what does not.

use std::time::Duration;

use cluster::unit::ActiveState::{Activating, Active, Failed, Inactive};
use cluster::unit::{JobResult, Unit};
use cluster::{Action, Fault, Outcome, Rollout};

use crate::scene::Ask::{Finish, Restart, Settle};
use crate::scene::{FIRST_RELEASE, IN_PLACE, SETTLE, Scene, fault, instance, new, old, planned, unit};

#[test]
fn a_done_job_proves_nothing() {
    for (seen, found) in [(unit(Inactive, 2), Fault::NotActive(Inactive)), (old(), Fault::SameProcess)] {
        let mut scene = Scene::new(1, 0, FIRST_RELEASE);
        let outcome = Outcome::Failed(fault(1, found));
        assert_eq!(scene.job(1, JobResult::Done, seen), [Finish(outcome)]);
    }
}

#[test]
fn ready_is_not_settled() {
    let others = [Unit { restarts: 1, ..new() }, unit(Active, 3), unit(Activating, 2), unit(Inactive, 2)];
    for seen in others {
        for is_timer in [false, true] {
            let mut scene = Scene::new(2, 0, FIRST_RELEASE);
            scene.job(1, JobResult::Done, new());
            let asked = if is_timer { scene.settled(1, seen) } else { scene.looked(1, seen) };
            assert_eq!(asked, [Finish(Outcome::Failed(fault(1, Fault::Unsettled)))]);
        }
    }
}

#[test]
fn one_that_does_not_feed_its_watchdog_is_not_settled() {
    let fed = |ms| Unit { fed_after: Some(Duration::from_millis(ms)), ..new() };
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.job(1, JobResult::Done, fed(0));
    assert_eq!(scene.settled(1, fed(100)), [Settle(1)]);
    assert_eq!(scene.last, [Action::Settle(instance(1), SETTLE / 4)]);
    assert_eq!(scene.settled(1, fed(100)), [Settle(1)]);
    assert_eq!(scene.settled(1, fed(500)), [Restart(2)]);
}

#[test]
fn without_an_answer_another_process_proves_nothing() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    assert_eq!(scene.looked(1, unit(Active, 5)), [Restart(1)], "it crashed just before the link was flipped");
}

/// An orchestrator has died before it had worker@2 restarted, whose link it had set. That one has crashed since.
#[test]
fn one_that_may_execute_the_new_release_already_is_the_first() {
    let goes_on = |first: Unit| {
        let mut plan = planned(&[first, unit(Active, 5)], 0, &[]);
        plan.iter_mut().for_each(|planned| planned.is_unsure = planned.instance == instance(2));
        let (rollout, actions) = Rollout::begin(&plan, IN_PLACE, false);
        Scene::begun(rollout, actions)
    };
    assert_eq!(goes_on(old()).asked(), [Restart(2)]);
    let mut scene = goes_on(unit(Activating, 1));
    assert_eq!(scene.asked(), [], "too few serve");
    assert_eq!(scene.looked(1, old()), [Restart(2)]);
    assert_eq!(goes_on(unit(Failed, 1)).asked(), [Restart(1)], "it does not come back by itself");
}
