//! The whole cluster in a world that does what it is asked. These tests cover faults that need two events to
//! coincide.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod accepting;
mod people;
mod rig;
mod start;
mod waiting;

use std::time::Duration;

use cluster::OnFailure;
use cluster::effect::{Call, Disk, Effect};
use cluster::history::State;
use cluster::info::UnitInfo;
use cluster::input::{Answer, EnqueueError, Input, OwnJob, Refusal, Signal};
use cluster::ledger::StoppedBy;
use cluster::unit::{ActiveState, JobId, JobResult};

use self::rig::{Rig, SETTINGS, active, id, instance};

const SOON: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_deployment_replaces_one_after_the_other() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    assert!(rig.has_asked("restart 1") && !rig.has_asked("restart 2"), "{:#?}", rig.asked);
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Done, "{:#?}", rig.asked);
    assert_eq!(rig.links.values().collect::<Vec<_>>(), [&id("2.0.0"), &id("2.0.0")]);
}

#[test]
fn a_stop_comes_to_its_end_although_the_units_cannot_be_listed() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::List | Call::OwnJob)));
    rig.hear(Input::Terminate);
    answer(&mut rig, Answer::OwnJob(Ok(OwnJob::Stop)));
    for _ in 0..4 {
        if let Some(Effect::Call(..)) = rig.held.first() {
            answer(&mut rig, Answer::Listed(Err("too long a list".to_owned())));
        }
    }
    assert!(rig.has_asked("stop 1") && rig.has_asked("stop 2"), "{:#?}", rig.asked);
    assert_eq!(rig.end, Some(Ok(())));
}

#[test]
fn what_its_caller_heard_is_refused_is_not_gone_on_with() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::History(_))));
    rig.deploy("2.0.0");
    assert_eq!(rig.held.len(), 1, "it is being written down");
    rig.hold(|_| false);
    rig.hear(Input::Terminate);
    assert!(matches!(rig.replies[..], [Err(Refusal::ShuttingDown(_))]), "{:?}", rig.replies);
    assert_eq!(rig.history, []);
}

#[test]
fn a_survey_that_comes_late_ends_nothing() {
    let mut rig = Rig::new();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Survey { .. })));
    rig.begin();
    rig.hear(Input::Disconnected);
    rig.hear(Input::Connected);
    let [Effect::Disk(early, _), Effect::Disk(late, _)] = rig.held[..] else { panic!("{:?}", rig.held) };
    rig.hold(|_| false);
    let found = Effect::Disk(late, Disk::Survey { stages_package: true, current: None });
    rig.held = vec![found];
    rig.release_first();
    rig.hear(Input::Answer(early, Answer::Surveyed(Err("no such file".to_owned()))));
    assert_eq!(rig.end, None);
    rig.deploy("2.0.0");
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Done);
}

#[test]
fn a_worker_that_is_started_while_a_rollout_is_prepared_is_known() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Settings)));
    rig.deploy("2.0.0");
    rig.change(3, |unit| *unit = active(9, Duration::from_secs(999)));
    assert!(rig.has_asked("stop 3") || rig.knows(3), "{:#?}", rig.asked);
}

#[test]
fn a_connection_that_is_cut_while_it_asks_why_it_ends_is_made_anew() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::OwnJob)));
    rig.hear(Input::Terminate);
    rig.hear(Input::Disconnected);
    answer(&mut rig, Answer::OwnJob(Err("the connection to the bus ended".to_owned())));
    assert_eq!(rig.end, None, "a stop would leave all workers running");
    rig.hear(Input::Connected);
    answer(&mut rig, Answer::OwnJob(Ok(OwnJob::Stop)));
    assert!(rig.has_asked("stop 1") && rig.has_asked("stop 2"), "{:#?}", rig.asked);
}

#[test]
fn none_goes_back_before_all_links_do() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Point(..))));
    rig.change(1, |unit| {
        (unit.active, unit.restarts, unit.main_pid) = (ActiveState::Activating, 1, 0);
    });
    rig.asked.clear();
    rig.change(2, |unit| unit.fed_usec += 1);
    rig.foreign_job_is_done(2);
    rig.foreign_job_is_done(1);
    assert!(!rig.has_asked("restart 1"), "its link says the new release still: {:#?}", rig.asked);
    rig.hold(|_| false);
    rig.release_all();
    assert!(rig.has_asked("restart 1"), "{:#?}", rig.asked);
}

#[test]
fn a_link_that_could_not_be_set_back_is_set_back_later() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    rig.deploy("2.0.0");
    rig.hold(|effect| matches!(effect, Effect::Disk(_, Disk::Point(..))));
    answer(&mut rig, Answer::Enqueued(Err(EnqueueError::Refused("it is masked".to_owned()))));
    rig.hold(|_| false);
    answer(&mut rig, Answer::Done(Err("the disk is full".to_owned())));
    assert_eq!(rig.links[&instance(1)], id("2.0.0"), "{:#?}", rig.asked);
    rig.wait(LONG);
    assert_eq!(rig.links[&instance(1)], id("1.0.0"), "{:#?}", rig.asked);
}

#[test]
fn a_failed_worker_is_tried_again_after_a_rollout_could_not_restart_it() {
    let mut rig = Rig::running();
    rig.change(2, |unit| (unit.active, unit.main_pid) = (ActiveState::Failed, 0));
    rig.wait(Duration::from_millis(1_500));
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(of)) if of.number() == 2));
    rig.deploy("2.0.0");
    rig.wait(SOON);
    while !rig.held.is_empty() {
        answer(&mut rig, Answer::Enqueued(Err(EnqueueError::Refused("it is masked".to_owned()))));
    }
    rig.hold(|_| false);
    rig.wait(LONG);
    assert!(rig.has_asked("restart 2"), "{:#?}", rig.asked);
}

#[test]
fn what_has_failed_where_nothing_goes_back_is_not_gone_on_with() {
    let mut rig = Rig::new();
    rig.settings = cluster::settings::Settings { on_failure: OnFailure::Halt, ..SETTINGS };
    rig.begin();
    rig.hold(|effect| matches!(effect, Effect::LastWords(..)));
    rig.deploy("2.0.0");
    rig.change(1, |unit| (unit.active, unit.restarts) = (ActiveState::Activating, 1));
    assert!(rig.history.last().unwrap().failure.is_some());
    rig.begin();
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Failed);
    assert!(!rig.has_asked("restart 2"), "{:#?}", rig.asked);
}

#[test]
fn the_watch_is_known_as_soon_as_the_end() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.wait(LONG);
    let at = |what: &str| rig.asked.iter().position(|asked| asked == what).unwrap();
    let watched = format!("ledger {:?}", Some(id("2.0.0")));
    assert!(at(&watched) < at(&format!("history {:?}", Some(State::Done))), "{:#?}", rig.asked);
}

#[test]
fn another_number_of_workers_waits_for_the_next_orchestrator_to_end_the_rollout() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.settings.workers = 1;
    rig.hear(Input::Request(cluster::input::Caller(2), cluster::input::Request::Reconfigure));
    rig.hear(Input::Terminate);
    assert_eq!((rig.end.clone(), rig.ledger.wanted), (Some(Ok(())), Some(2)));
}

#[test]
fn one_that_an_operator_is_stopping_is_not_taken() {
    let mut rig = Rig::running();
    rig.change(1, |unit| (unit.active, unit.job) = (ActiveState::Deactivating, Some(JobId(900))));
    rig.deploy("2.0.0");
    assert!(!rig.has_asked("restart 1"), "{:#?}", rig.asked);
    rig.change(1, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
    rig.foreign_job_is_done(1);
    rig.wait(LONG);
    assert!(!rig.has_asked("restart 1") && rig.has_asked("restart 2"), "{:#?}", rig.asked);
    assert_eq!(rig.ledger.stopped.get(&instance(1)), Some(&StoppedBy::Operator));
}

#[test]
fn a_worker_that_asks_systemd_for_more_time_has_it() {
    let mut rig = slow_to_start();
    rig.wait(Duration::from_secs(300));
    assert_eq!(rig.history.last().unwrap().state, State::Running, "systemd still waits for it");
    rig.change(1, |unit| (unit.active, unit.job) = (ActiveState::Failed, None));
    rig.wait(LONG);
    assert_ne!(rig.history.last().unwrap().state, State::Running);
}

#[test]
fn one_that_took_its_time_with_leave_of_systemd_settles_as_long_as_any_other() {
    let mut rig = slow_to_start();
    // systemd extends its start timeout every 10 s, from the first second on.
    rig.wait(Duration::from_millis(30_800));
    rig.hold(|_| false);
    let ready = rig.now();
    rig.change(1, |unit| *unit = active(30, ready));
    rig.job_is_done(1, 900);
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Done, "{:#?}", rig.asked);
}

#[test]
fn a_way_back_leaves_the_links_of_those_that_were_never_brought_forward() {
    let mut rig = Rig::new();
    rig.settings.workers = 3;
    rig.ledger.wanted = Some(3);
    rig.runs(3);
    rig.settings = cluster::settings::Settings { on_failure: OnFailure::Halt, ..rig.settings };
    rig.begin();
    rig.deploy("2.0.0");
    rig.wait(Duration::from_millis(1_500));
    rig.change(2, |unit| (unit.active, unit.restarts) = (ActiveState::Activating, 1));
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Failed, "{:#?}", rig.asked);
    rig.asked.clear();
    rig.roll_back("1.0.0");
    rig.wait(LONG);
    assert!(!rig.has_asked("point 3 2.0.0"), "it runs 1.0.0, and is to: {:#?}", rig.asked);
}

#[test]
fn what_was_put_an_end_to_by_one_that_did_not_begin_goes_on() {
    let mut history = cluster::history::History::default();
    let entry = |id, state| cluster::history::Entry {
        id,
        begun_usec: id,
        begun_monotonic_usec: id,
        boot_id: "boot".to_owned(),
        ended_usec: None,
        kind: cluster::history::Kind::Deploy,
        by: "alice".to_owned(),
        from: None,
        to: None,
        canary: None,
        state,
        failure: None,
    };
    history.begin(entry(1, State::Restoring));
    history.begin(entry(2, State::Running));
    assert_eq!(history.entries()[0].state, State::Interrupted);
    history.forget(2);
    assert_eq!(history.unfinished().map(|entry| (entry.id, entry.state)), Some((1, State::Restoring)));
}

#[test]
fn what_the_drains_have_cost_is_told_at_the_end() {
    let mut rig = Rig::running();
    rig.deploy("2.0.0");
    rig.change(2, |unit| unit.cut = 3);
    rig.wait(LONG);
    let end = rig.last_end.clone().unwrap();
    assert!(end.ends_with("; 3 connections were closed by force at the end of their drains"), "{end}");
}

#[test]
fn a_job_whose_end_was_missed_is_not_waited_for_for_ever() {
    let mut rig = Rig::new();
    rig.settings.settle = Duration::from_millis(200);
    rig.begin();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    rig.deploy("2.0.0");
    answer(&mut rig, Answer::Enqueued(Ok(JobId(900))));
    let ready = rig.now();
    rig.change(1, |unit| *unit = active(30, ready));
    // The worker settles, as the orchestrator sees. Then its inspection fails.
    rig.wait(Duration::from_secs(1));
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Inspect(_))));
    rig.wait(Duration::from_millis(200));
    answer(&mut rig, Answer::Inspected(Err("no answer".to_owned())));
    rig.hold(|_| false);
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Done, "{:#?}", rig.asked);
    rig.asked.clear();
    rig.change(1, |unit| (unit.active, unit.main_pid) = (ActiveState::Inactive, 0));
    assert!(rig.has_asked("restart 1"), "it has ended by itself: {:#?}", rig.asked);
}

#[test]
fn one_that_is_left_out_is_linked_to_what_it_was() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(of)) if of.number() == 1));
    rig.deploy("2.0.0");
    answer(&mut rig, Answer::Enqueued(Ok(JobId(900))));
    // A stop by another client replaces the restart. When it is done, the bus is gone.
    rig.change(1, |unit| (unit.active, unit.job) = (ActiveState::Deactivating, Some(JobId(901))));
    rig.hear(Input::Signal(Signal::JobRemoved(instance(1), JobId(900), JobResult::Canceled)));
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    rig.hear(Input::Disconnected);
    rig.unheard(1, |unit| (unit.active, unit.job, unit.main_pid) = (ActiveState::Inactive, None, 0));
    rig.asked.clear();
    rig.hear(Input::Connected);
    let at = |what: &str| rig.asked.iter().position(|asked| asked == what);
    assert!(at("point 1 1.0.0").is_some() && at("point 1 1.0.0") < at("point 2 2.0.0"), "{:#?}", rig.asked);
    assert_eq!(rig.links[&instance(1)], id("1.0.0"), "whatever starts it, it is not proven on the other");
}

#[test]
fn a_cold_start_takes_the_links_away_before_another_release_becomes_current() {
    let mut rig = Rig::new();
    for number in [1, 2] {
        rig.unheard(number, |unit| *unit = UnitInfo::default());
    }
    rig.packaged = Some(id("2.0.0"));
    rig.begin();
    let at = |what: &str| rig.asked.iter().position(|asked| asked == what).unwrap();
    assert!(at("ledger None") < at("unlink all but 0"), "{:#?}", rig.asked);
    assert!(at("unlink all but 0") < at("current 2.0.0"), "{:#?}", rig.asked);
    assert!(at("point 1 2.0.0") < at("restart 1"), "{:#?}", rig.asked);
}

#[test]
fn a_way_back_does_not_end_before_systemd_has_answered() {
    let mut rig = Rig::running();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    rig.deploy("2.0.0");
    rig.hear(Input::Request(cluster::input::Caller(2), cluster::input::Request::Abort(0)));
    rig.wait(LONG);
    assert_eq!(rig.history.last().unwrap().state, State::Restoring, "worker@1 may be restarted yet");
    assert_eq!(rig.held.len(), 1, "and is not asked for again: {:?}", rig.held);
    answer(&mut rig, Answer::Enqueued(Err(EnqueueError::Refused("access denied".to_owned()))));
    assert_eq!(rig.history.last().unwrap().state, State::Aborted, "{:#?}", rig.asked);
}

/// A rollout without a deadline of its own has asked for a restart of worker@1. systemd still runs that job,
/// 900.
fn slow_to_start() -> Rig {
    let mut rig = Rig::new();
    rig.settings.worker_deadline = None;
    rig.begin();
    rig.hold(|effect| matches!(effect, Effect::Call(_, Call::Restart(_))));
    rig.deploy("2.0.0");
    answer(&mut rig, Answer::Enqueued(Ok(JobId(900))));
    rig.change(1, |unit| {
        (unit.active, unit.job, unit.main_pid) = (ActiveState::Activating, Some(JobId(900)), 0);
    });
    rig
}

/// Answers the first effect that is held.
fn answer(rig: &mut Rig, answer: Answer) {
    let (Effect::Call(token, _) | Effect::Disk(token, _)) = rig.held.remove(0) else { panic!("no token") };
    rig.hear(Input::Answer(token, answer));
}
