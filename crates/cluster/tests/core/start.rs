//! The orchestrator or a rollout begins, and must not act on what it does not know yet.

use std::time::Duration;

use cluster::effect::{Call, Disk, Effect};
use cluster::info::UnitInfo;
use cluster::input::{Answer, Input, OwnJob};
use cluster::ledger::StoppedBy;
use cluster::unit::ActiveState;

use crate::rig::{Rig, active, instance};
use crate::{LONG, answer};

#[test]
fn a_stop_does_not_begin_before_the_ledger_is_read() {
    let mut rig = Rig::new();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Open) | Effect::Call(_, Call::OwnJob)));
    rig.begin();
    rig.hear(Input::Terminate);
    assert_eq!(rig.held.len(), 1, "it does not ask yet why it ends: {:?}", rig.held);
    rig.release_first();
    answer(&mut rig, Answer::OwnJob(Ok(OwnJob::Stop)));
    assert_eq!(rig.end, Some(Ok(())));
    assert_eq!(rig.ledger.wanted, Some(2), "what the predecessor wrote is not lost");
    assert_eq!(rig.ledger.stopped, [1, 2].map(|n| (instance(n), StoppedBy::Us)).into());
}

#[test]
fn one_that_is_started_after_the_units_were_listed_is_known() {
    let mut rig = Rig::new();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Survey { .. })));
    rig.begin();
    let now = rig.now();
    rig.change(3, |unit| *unit = active(9, now));
    rig.hold(|_| false);
    rig.release_all();
    rig.wait(LONG);
    assert!(rig.has_asked("stop 3"), "it is not wanted: {:#?}", rig.asked);
}

#[test]
fn a_rollout_asks_first_whether_systemd_obeys_although_one_too_many_runs() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Stop(_))));
    let now = rig.now();
    rig.change(3, |unit| *unit = active(9, now));
    rig.deploy("2.0.0");
    assert_eq!(rig.held.len(), 2, "the stop of worker@3, and the question: {:?}", rig.held);
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
}

#[test]
fn a_stop_that_a_predecessor_asked_for_is_not_an_operators_although_the_worker_runs_still() {
    let mut rig = Rig::new();
    rig.ledger.stopped = [(instance(1), StoppedBy::Us)].into();
    rig.begin();
    // Now systemd carries it out.
    rig.change(1, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
    rig.foreign_job_is_done(1);
    assert!(rig.has_asked("restart 1"), "{:#?}", rig.asked);
}

#[test]
fn one_that_was_started_and_ended_while_nothing_was_heard_does_not_stay_down() {
    let mut rig = Rig::new();
    rig.unheard(1, |unit| *unit = UnitInfo::default());
    rig.ledger.stopped = [(instance(1), StoppedBy::Operator)].into();
    rig.begin();
    rig.wait(LONG);
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
    rig.hear(Input::Disconnected);
    rig.hear(Input::Connected);
    assert!(rig.has_asked("restart 1"), "the journal knows of no stop: {:#?}", rig.asked);
}

#[test]
fn one_that_fails_again_before_it_is_tried_again_is_tried_again() {
    let mut rig = Rig::running();
    let fails = |rig: &mut Rig| rig.change(2, |unit| (unit.active, unit.main_pid) = (ActiveState::Failed, 0));
    fails(&mut rig);
    rig.wait(Duration::from_millis(1_500));
    // An operator starts it.
    rig.change(2, |unit| unit.active = ActiveState::Activating);
    fails(&mut rig);
    assert!(!rig.has_asked("restart 2"), "{:#?}", rig.asked);
    rig.wait(LONG);
    assert!(rig.has_asked("restart 2"), "{:#?}", rig.asked);
}
