//! The rollout machine, scene by scene.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use rollout::plan::{Candidate, plan};
use rollout::unit::ActiveState::{self, Activating, Active, Deactivating, Failed, Inactive};
use rollout::unit::{Instance, InvocationId, JobResult, Unit};
use rollout::{Action, Attempt, Cause, Event, Fault, OnFailure, Outcome, Policy, Rollout, StepState};

const SETTLE: Duration = Duration::from_secs(1);
const POLICY: Policy = Policy {
    settle: SETTLE,
    max_unavailable: 0,
    on_failure: OnFailure::Rollback,
    has_previous: true,
    canary: None,
};
const IN_PLACE: Policy = Policy { max_unavailable: 1, ..POLICY };
const FIRST_RELEASE: Policy = Policy { has_previous: false, ..IN_PLACE };

/// What the machine asked for, without the attempts.
#[derive(Debug, PartialEq)]
enum Ask {
    Restart(u32),
    Stop(u32),
    Settle(u32),
    RestoreRelease,
    Finish(Outcome),
    Ignore,
}
use Ask::{Finish, Ignore, Restart, RestoreRelease, Settle, Stop};

/// A rollout, and the process that each worker runs next.
struct Scene {
    rollout: Rollout,
    last: Vec<Action>,
    attempts: Vec<(u32, Attempt)>,
}

fn instance(number: u32) -> Instance {
    Instance::new(number).unwrap()
}

/// A unit in the n-th process that anybody knows.
fn unit(active: ActiveState, n: u8) -> Unit {
    Unit { active, invocation: Some(InvocationId([n; 16])), ..Unit::INACTIVE }
}

/// As all workers are before the rollout.
fn old() -> Unit {
    unit(Active, 1)
}

/// As a worker is after its restart.
fn new() -> Unit {
    unit(Active, 2)
}

fn fault(number: u32, fault: Fault) -> Cause {
    Cause::Fault(instance(number), fault)
}

impl Scene {
    fn new(workers: u32, surge: u32, policy: Policy) -> Self {
        Self::with(&vec![old(); workers as usize], surge, policy)
    }

    /// The units of the wanted workers, from the first on.
    fn with(units: &[Unit], surge: u32, policy: Policy) -> Self {
        let (rollout, actions) = Rollout::begin(&planned(units, surge, &[]), policy);
        Self::begun(rollout, actions)
    }

    fn begun(rollout: Rollout, actions: Vec<Action>) -> Self {
        let mut scene = Self { rollout, last: Vec::new(), attempts: Vec::new() };
        scene.note(actions);
        scene
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in &actions {
            if let Action::Restart(instance, attempt) | Action::Stop(instance, attempt) = action {
                self.attempts.push((instance.number(), *attempt));
            }
        }
        self.last = actions;
    }

    fn asked(&self) -> Vec<Ask> {
        let ask = |action: &Action| match action {
            Action::Restart(instance, _) => Restart(instance.number()),
            Action::Stop(instance, _) => Stop(instance.number()),
            Action::Settle(instance, _) => Settle(instance.number()),
            Action::RestoreRelease => RestoreRelease,
            Action::Finish(outcome) => Finish(outcome.clone()),
            Action::Ignore(_) => Ignore,
        };
        self.last.iter().map(ask).collect()
    }

    fn event(&mut self, event: Event) -> Vec<Ask> {
        let actions = self.rollout.handle(event);
        self.note(actions);
        self.asked()
    }

    fn enqueued(&mut self, number: u32) {
        assert_eq!(self.event(Event::Enqueued(instance(number))), []);
    }

    fn refused(&mut self, number: u32) -> Vec<Ask> {
        self.event(Event::JobRefused { instance: instance(number), reason: "access denied".to_owned() })
    }

    fn job(&mut self, number: u32, result: JobResult, unit: Unit) -> Vec<Ask> {
        self.event(Event::JobFinished { instance: instance(number), result, unit })
    }

    fn looked(&mut self, number: u32, unit: Unit) -> Vec<Ask> {
        self.event(Event::Looked { instance: instance(number), unit })
    }

    fn settled(&mut self, number: u32, unit: Unit) -> Vec<Ask> {
        self.event(Event::Settled { instance: instance(number), unit })
    }

    /// A worker comes through; what follows.
    fn replace(&mut self, number: u32) -> Vec<Ask> {
        assert_eq!(self.job(number, JobResult::Done, new()), [Settle(number)]);
        self.settled(number, new())
    }

    /// A worker is back on the old release; what follows.
    fn put_back(&mut self, number: u32) -> Vec<Ask> {
        self.job(number, JobResult::Done, unit(Active, 3))
    }

    /// The time of this worker's last try is over.
    fn too_long(&mut self, number: u32) -> Vec<Ask> {
        let (_, attempt) = *self.attempts.iter().rfind(|(of, _)| *of == number).unwrap();
        self.event(Event::StepDeadline { instance: instance(number), attempt })
    }

    /// After the old release is current again these are looked at, as they are.
    fn look_at(&mut self, numbers: &[u32], unit: Unit) -> Vec<Ask> {
        numbers.iter().map(|number| self.looked(*number, unit)).last().unwrap_or_default()
    }

    fn states(&self) -> Vec<(u32, StepState)> {
        self.rollout.steps().iter().map(|step| (step.instance().number(), step.state())).collect()
    }
}

/// The plan for these units; the numbers are those replaced already.
fn planned(units: &[Unit], surge: u32, replaced: &[u32]) -> Vec<rollout::plan::Planned> {
    let candidates: Vec<_> = (1..)
        .zip(units)
        .map(|(number, unit)| Candidate { instance: instance(number), unit: *unit, is_held: false })
        .collect();
    let wanted = u32::try_from(units.len()).unwrap();
    plan(&candidates, wanted, surge, |instance| replaced.contains(&instance.number()))
}

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
    let (_, actions) = Rollout::begin(&[], POLICY);
    assert_eq!(actions, [Action::Finish(Outcome::Done)]);
}

#[test]
fn a_bad_release_is_found_out_on_the_extra_worker() {
    let mut scene = Scene::new(2, 1, POLICY);
    assert_eq!(scene.job(3, JobResult::Failed, unit(Activating, 2)), [RestoreRelease, Stop(3)]);
    scene.look_at(&[1, 2], old());
    let cause = fault(3, Fault::Job(JobResult::Failed));
    assert_eq!(scene.looked(3, unit(Inactive, 2)), [Finish(Outcome::Restored(cause))]);
    assert_eq!(scene.states()[1..], [(1, StepState::Waiting), (2, StepState::Waiting)]);
}

#[test]
fn a_bad_release_never_reaches_the_second_worker() {
    let mut scene = Scene::new(3, 0, IN_PLACE);
    assert_eq!(scene.job(1, JobResult::Failed, unit(Activating, 2)), [RestoreRelease]);
    assert_eq!(scene.look_at(&[2, 3], old()), [], "all are looked at first");
    assert_eq!(scene.looked(1, unit(Activating, 2)), [Restart(1)]);
    let cause = fault(1, Fault::Job(JobResult::Failed));
    assert_eq!(scene.put_back(1), [Finish(Outcome::Restored(cause))]);
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
fn the_settle_time_of_an_earlier_try_does_not_count() {
    let mut scene = Scene::new(1, 1, POLICY);
    scene.job(2, JobResult::Done, new());
    assert_eq!(scene.event(Event::Held(instance(2))), [Restart(2)], "the others need it");
    scene.job(2, JobResult::Done, unit(Active, 3));
    assert_eq!(scene.settled(2, unit(Active, 3)), [Ignore]);
    assert_eq!(scene.settled(2, unit(Active, 3)), [Restart(1)]);
}

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
fn a_halt_leaves_all_as_they_are() {
    let mut scene = Scene::new(3, 0, Policy { on_failure: OnFailure::Halt, ..IN_PLACE });
    scene.replace(1);
    let outcome = Outcome::Failed(fault(2, Fault::Job(JobResult::Timeout)));
    assert_eq!(scene.job(2, JobResult::Timeout, unit(Activating, 2)), [Finish(outcome)]);
    assert_eq!(scene.states()[2], (3, StepState::Waiting));
}

#[test]
fn a_worker_that_takes_too_long_turns_the_rollout_around() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.enqueued(1);
    assert_eq!(scene.too_long(1), [RestoreRelease]);
    scene.looked(2, old());
    assert_eq!(scene.looked(1, Unit { has_job: true, ..unit(Deactivating, 1) }), [Restart(1)]);
    let outcome = Outcome::Restored(fault(1, Fault::TooLong));
    assert_eq!(scene.put_back(1), [Finish(outcome)]);
}

#[test]
fn the_deadline_of_an_earlier_try_is_over() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    let (_, first) = scene.attempts[0];
    scene.too_long(1);
    scene.looked(2, old());
    assert_eq!(scene.looked(1, unit(Activating, 2)), [Restart(1)]);
    assert_eq!(scene.event(Event::StepDeadline { instance: instance(1), attempt: first }), [Ignore]);
}

#[test]
fn a_rollout_that_takes_too_long_is_undone() {
    let mut scene = Scene::new(3, 0, IN_PLACE);
    scene.replace(1);
    assert_eq!(scene.event(Event::Deadline), [RestoreRelease]);
    assert_eq!(scene.event(Event::Deadline), [Ignore]);
    scene.looked(1, new());
    scene.looked(2, unit(Activating, 2));
    assert_eq!(scene.looked(3, old()), [Restart(2)], "who does not serve comes first");
}

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
fn without_an_answer_another_process_proves_nothing() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    assert_eq!(scene.looked(1, unit(Active, 5)), [Restart(1)], "it crashed just before the link was flipped");
}

#[test]
fn a_refused_job_leaves_its_worker_untouched() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.refused(1), [RestoreRelease]);
    assert_eq!(scene.looked(1, old()), []);
    let cause = fault(1, Fault::Refused("access denied".to_owned()));
    assert_eq!(scene.looked(2, old()), [Finish(Outcome::Restored(cause))]);
}

#[test]
fn a_worker_that_somebody_stops_meanwhile_is_skipped() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    assert_eq!(scene.job(1, JobResult::Canceled, Unit { has_job: true, ..unit(Deactivating, 1) }), [Ignore]);
    assert_eq!(scene.looked(1, unit(Inactive, 1)), [Restart(2)]);
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
fn a_worker_stopped_while_it_settles_is_skipped() {
    let mut scene = Scene::new(2, 0, IN_PLACE);
    scene.job(1, JobResult::Done, new());
    assert_eq!(scene.event(Event::Held(instance(1))), [Restart(2)]);
}

#[test]
fn a_resumed_rollout_lets_the_replaced_ones_settle_and_takes_the_others() {
    let (rollout, actions) = Rollout::begin(&planned(&[new(), new(), old()], 0, &[1, 2]), IN_PLACE);
    let mut scene = Scene::begun(rollout, actions);
    assert_eq!(scene.asked(), [Settle(1), Settle(2)]);
    assert_eq!(scene.settled(1, new()), []);
    assert_eq!(scene.settled(2, new()), [Restart(3)]);
    assert_eq!(scene.replace(3), [Finish(Outcome::Done)]);
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
fn when_most_of_the_replaced_ones_have_crashed_it_is_the_release() {
    let mut scene = Scene::new(4, 0, IN_PLACE);
    let crashed = Unit { restarts: 1, ..unit(Active, 5) };
    (1..=3).for_each(|number| drop(scene.replace(number)));
    assert_eq!(scene.looked(1, crashed), [], "one in three may have any reason");
    assert_eq!(scene.looked(1, crashed), [], "and is one only");
    let asked = scene.looked(2, crashed);
    assert_eq!(asked[0], RestoreRelease);
    assert_eq!(scene.rollout.cause(), Some(&fault(2, Fault::Crashed)));
}

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

#[test]
fn whoever_came_up_on_the_new_release_meanwhile_goes_back_too() {
    let mut scene = Scene::new(2, 1, POLICY);
    scene.job(3, JobResult::Failed, unit(Activating, 2));
    assert_eq!(scene.looked(3, unit(Inactive, 2)), [], "the others have not been looked at");
    assert_eq!(scene.looked(1, old()), []);
    assert_eq!(scene.looked(2, unit(Activating, 7)), [Restart(2)]);
    assert!(matches!(scene.put_back(2)[..], [Finish(Outcome::Restored(_))]));
}

#[test]
fn nothing_follows_the_end() {
    let mut scene = Scene::new(1, 0, IN_PLACE);
    assert_eq!(scene.replace(1), [Finish(Outcome::Done)]);
    for event in [Event::Abort, Event::Deadline, Event::Resume, Event::Enqueued(instance(1))] {
        assert_eq!(scene.event(event), [Ignore]);
    }
}
