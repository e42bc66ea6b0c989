//! Rollouts that have not begun.

use std::time::Duration;

use cluster::effect::{Call, Disk, Effect};
use cluster::history::{Kind, State};
use cluster::input::{Answer, Caller, Input, Refusal, Reply, Request};
use cluster::moment::Now;
use cluster::unit::ActiveState;
use cluster::view::{self, RolloutState};

use crate::answer;
use crate::rig::{Rig, SETTINGS};

const SOON: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(30);

fn shown(rig: &Rig) -> Option<view::Rollout> {
    rig.cluster.view(Now { moment: rig.now(), epoch: rig.now() }).rollout
}

fn abort(rig: &mut Rig) {
    rig.hear(Input::Request(Caller(9), Request::Abort(0)));
}

/// systemd asks polkit whether the orchestrator may stop a worker, and polkit does not answer.
fn polkit_hangs() -> Rig {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Stop(_))));
    rig.deploy("2.0.0");
    rig
}

#[test]
fn a_rollout_that_does_not_begin_is_shown_with_what_it_waits_for() {
    let mut rig = polkit_hangs();
    assert_eq!(shown(&rig), None, "it may begin at any moment");
    rig.wait(SOON);
    let waiting = shown(&rig).expect("it is shown");
    assert_eq!(waiting.state, RolloutState::Queued);
    assert!(waiting.message.starts_with("has not begun: systemd has not said yet"), "{}", waiting.message);
    assert_eq!(rig.last_end, Some(waiting.message));
    rig.hold(|_| false);
    rig.release_all();
    assert_eq!(shown(&rig).map(|rollout| rollout.state), Some(RolloutState::Running));
}

#[test]
fn a_rollout_that_has_not_begun_is_withdrawn_by_an_abort() {
    let mut rig = polkit_hangs();
    rig.wait(SOON);
    abort(&mut rig);
    let withdrawn = Refusal::Refused("withdrawn before it began".to_owned());
    assert_eq!(rig.replies, [Err(withdrawn), Ok(Reply::Done)]);
    assert_eq!(rig.last_end.as_deref(), Some("withdrawn before it began"));
    rig.hold(|_| false);
    rig.release_all();
    rig.wait(LONG);
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
}

/// The orchestrator is killed after it has replaced worker 1, and its successor begins.
fn successor(rig: &mut Rig) {
    rig.deploy("2.0.0");
    rig.wait(Duration::from_millis(500));
    assert!(rig.has_asked("restart 1") && !rig.has_asked("restart 2"), "{:#?}", rig.asked);
    rig.replies.clear();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Survey { stages_package: false, .. })));
    rig.begin();
    assert_eq!(rig.held.len(), 1, "it prepares to go on: {:#?}", rig.held);
}

#[test]
fn an_inherited_rollout_goes_back_if_it_is_aborted_before_it_goes_on() {
    let mut rig = Rig::running();
    successor(&mut rig);
    abort(&mut rig);
    assert_eq!(rig.replies, [Ok(Reply::Done)]);
    rig.hold(|_| false);
    rig.release_all();
    rig.wait(LONG);
    let ended = rig.history.last().unwrap();
    assert_eq!(ended.state, State::Aborted, "{ended:#?}");
    assert!(!rig.has_asked("restart 2"), "{:#?}", rig.asked);
}

/// The disk does not answer the successor, so it cannot continue the rollout. Then an operator deploys.
#[test]
fn an_abort_of_an_inherited_rollout_leaves_another_that_is_prepared() {
    let mut rig = Rig::running();
    successor(&mut rig);
    answer(&mut rig, Answer::Surveyed(Err("the disk is away".to_owned())));
    let inherited = shown(&rig).expect("it waits");
    assert_eq!(inherited.state, RolloutState::Queued, "{inherited:#?}");
    rig.replies.clear();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Settings)));
    rig.deploy("2.0.0");
    rig.hear(Input::Request(Caller(9), Request::Abort(inherited.id)));
    assert_eq!(rig.replies, [Ok(Reply::Done)]);
    rig.hold(|_| false);
    rig.release_all();
    assert!(matches!(rig.replies.last(), Some(Ok(Reply::Rollout(_)))), "{:?}", rig.replies);
}

#[test]
fn an_aborted_undo_is_not_begun_again() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.wait(LONG);
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Stop(of)) if of.number() > 2));
    for number in [1, 2] {
        rig.change(number, |unit| (unit.active, unit.restarts) = (ActiveState::Activating, 9));
    }
    rig.wait(SOON);
    assert!(!rig.held.is_empty(), "the undo is prepared: {:#?}", rig.asked);
    abort(&mut rig);
    rig.hold(|_| false);
    rig.held.clear();
    rig.asked.clear();
    rig.wait(LONG);
    assert_eq!(rig.history.last().map(|entry| entry.kind), Some(Kind::Deploy), "{:#?}", rig.asked);
    assert_eq!(rig.ledger.watched, None);
}

#[test]
fn an_aborted_rollout_says_who_is_not_ready() {
    let mut rig = Rig::new();
    rig.settings.workers = 3;
    rig.ledger.wanted = Some(3);
    rig.runs(3);
    rig.begin();
    rig.deploy("2.0.0");
    rig.change(3, |unit| {
        (unit.active, unit.main_pid, unit.exit_code, unit.exit_status) = (ActiveState::Failed, 0, 1, 78);
    });
    abort(&mut rig);
    rig.wait(LONG);
    let end = rig.last_end.clone().unwrap();
    assert_eq!(end, "aborted on request; release 1.0.0 is back, and not ready: worker@3");
}

/// The link to the current release could not be written at the end of the rollout.
#[test]
fn the_release_that_all_run_is_current_for_the_successor() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.wait(LONG);
    assert_eq!(rig.history.last().map(|entry| entry.state), Some(State::Done));
    rig.begin();
    let properties = rig.cluster.view(Now { moment: rig.now(), epoch: rig.now() }).properties;
    assert_eq!(properties.release, "2.0.0", "the link names 1.0.0");
    assert!(rig.has_asked("current 2.0.0"), "{:#?}", rig.asked);
}

/// Otherwise the next orchestrator would continue a rollout that has ended, also one that was aborted.
#[test]
fn an_end_that_could_not_be_written_is_written_later() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::History(_))));
    rig.wait(LONG);
    answer(&mut rig, Answer::Done(Err("no space left".to_owned())));
    assert_eq!(rig.history.last().map(|entry| entry.state), Some(State::Running), "on disk");
    rig.hold(|_| false);
    rig.wait(LONG);
    assert_eq!(rig.history.last().map(|entry| entry.state), Some(State::Done), "on disk");
}

#[test]
fn an_abort_stays_an_abort_when_the_orchestrator_dies() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.wait(Duration::from_millis(1_500));
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    abort(&mut rig);
    rig.held.clear();
    rig.hold(|_| false);
    rig.begin();
    rig.wait(LONG);
    let ended = rig.history.last().unwrap();
    assert_eq!(ended.state, State::Aborted, "{ended:#?}");
}

#[test]
fn an_extra_worker_that_failed_keeps_its_link_until_it_is_stopped() {
    let mut rig = Rig::new();
    rig.settings = cluster::settings::Settings { surge: 1, max_unavailable: 0, ..SETTINGS };
    rig.begin();
    rig.deploy("2.0.0");
    assert!(rig.has_asked("restart 3"), "{:#?}", rig.asked);
    rig.asked.clear();
    rig.change(3, |unit| (unit.active, unit.restarts) = (ActiveState::Activating, 1));
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Restored, "{:#?}", rig.asked);
    let at = |what: &str| rig.asked.iter().position(|asked| asked == what);
    let (stopped, linked) = (at("stop 3"), at("point 3 1.0.0"));
    assert!(stopped.is_some() && linked.is_some_and(|linked| Some(linked) > stopped), "{:#?}", rig.asked);
}
