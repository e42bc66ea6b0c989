//! What an operator stops while the orchestrator is about to start it.

use cluster::effect::{Call, Disk, Effect};
use cluster::input::{Answer, Caller, EnqueueError, Input, Request};
use cluster::ledger::StoppedBy;
use cluster::unit::{ActiveState, JobId};

use crate::rig::{Rig, instance};
use crate::{LONG, answer};

/// A rollout has replaced worker@1. Then an operator aborts it and stops worker@1, which drains.
fn going_back() -> Rig {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.asked.clear();
    rig.change(1, |unit| (unit.active, unit.job) = (ActiveState::Deactivating, Some(JobId(900))));
    rig.hear(Input::Request(Caller(2), Request::Abort(0)));
    rig
}

fn is_stopped(rig: &mut Rig) {
    rig.change(1, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
    rig.foreign_job_is_done(1);
}

#[test]
fn one_that_an_operator_is_stopping_is_not_put_back() {
    let mut rig = going_back();
    is_stopped(&mut rig);
    rig.wait(LONG);
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
    assert_eq!(rig.ledger.stopped.get(&instance(1)), Some(&StoppedBy::Operator));
}

#[test]
fn one_that_is_stopped_while_its_link_is_set_is_not_started() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Point(..))));
    rig.change(1, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
    assert_eq!(rig.held.len(), 1, "{:?}", rig.held);
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Inspect(_))));
    rig.foreign_job_is_done(1);
    rig.release_first();
    rig.hold(|_| false);
    rig.release_all();
    rig.wait(LONG);
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
    assert_eq!(rig.ledger.stopped.get(&instance(1)), Some(&StoppedBy::Operator));
}

#[test]
fn a_stop_counts_although_a_start_was_asked_for_that_systemd_refuses() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    rig.change(1, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
    rig.foreign_job_is_done(1);
    answer(&mut rig, Answer::Enqueued(Err(EnqueueError::Refused("it is masked".to_owned()))));
    rig.hold(|_| false);
    rig.asked.clear();
    rig.wait(LONG);
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
    assert_eq!(rig.ledger.stopped.get(&instance(1)), Some(&StoppedBy::Operator));
}
