//! A rollout under test: the events that it gets, and what it asks for.

use std::time::Duration;

use cluster::numbers::{Compared, Limits};
use cluster::plan::{Candidate, Planned, plan};
use cluster::unit::{ActiveState, Instance, InvocationId, JobResult, Unit};
use cluster::{Action, Attempt, Cause, Event, Fault, OnFailure, Outcome, Policy, Rollout, StepState};

pub(crate) const SETTLE: Duration = Duration::from_secs(1);
pub(crate) const POLICY: Policy = Policy {
    settle: SETTLE,
    limits: Limits::NONE,
    max_unavailable: 0,
    on_failure: OnFailure::Rollback,
    has_previous: true,
    canary: None,
};
pub(crate) const IN_PLACE: Policy = Policy { max_unavailable: 1, ..POLICY };
pub(crate) const FIRST_RELEASE: Policy = Policy { has_previous: false, ..IN_PLACE };

/// What the machine asked for, without the attempts.
#[derive(Debug, PartialEq)]
pub(crate) enum Ask {
    Restart(u32),
    Stop(u32),
    Settle(u32),
    TellUndecided(u32),
    RestoreRelease,
    LinkBack(u32),
    Finish(Outcome),
    Ignore,
}

/// A rollout, its last actions, and every try so far.
pub(crate) struct Scene {
    pub(crate) rollout: Rollout,
    pub(crate) last: Vec<Action>,
    pub(crate) attempts: Vec<(u32, Attempt)>,
}

pub(crate) fn instance(number: u32) -> Instance {
    Instance::new(number).unwrap()
}

/// A unit in its n-th process.
pub(crate) fn unit(active: ActiveState, n: u8) -> Unit {
    Unit { active, invocation: Some(InvocationId([n; 16])), ..Unit::INACTIVE }
}

/// The unit of every worker before the rollout.
pub(crate) fn old() -> Unit {
    unit(ActiveState::Active, 1)
}

/// The unit of a worker after its restart.
pub(crate) fn new() -> Unit {
    unit(ActiveState::Active, 2)
}

pub(crate) fn fault(number: u32, fault: Fault) -> Cause {
    Cause::Fault(instance(number), fault)
}

impl Scene {
    pub(crate) fn new(workers: u32, surge: u32, policy: Policy) -> Self {
        Self::with(&vec![old(); workers as usize], surge, policy)
    }

    /// A rollout over wanted workers with these units, from instance 1 on.
    pub(crate) fn with(units: &[Unit], surge: u32, policy: Policy) -> Self {
        let (rollout, actions) = Rollout::begin(&planned(units, surge, &[]), policy, false);
        Self::begun(rollout, actions)
    }

    pub(crate) fn begun(rollout: Rollout, actions: Vec<Action>) -> Self {
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

    pub(crate) fn asked(&self) -> Vec<Ask> {
        let ask = |action: &Action| match action {
            Action::Restart(instance, _) => Ask::Restart(instance.number()),
            Action::Stop(instance, _) => Ask::Stop(instance.number()),
            Action::Settle(instance, _) => Ask::Settle(instance.number()),
            Action::TellUndecided(instance, _) => Ask::TellUndecided(instance.number()),
            Action::RestoreRelease => Ask::RestoreRelease,
            Action::LinkBack(instance) => Ask::LinkBack(instance.number()),
            Action::Finish(outcome) => Ask::Finish(outcome.clone()),
            Action::Ignore(_) => Ask::Ignore,
        };
        self.last.iter().map(ask).collect()
    }

    pub(crate) fn event(&mut self, event: Event) -> Vec<Ask> {
        let actions = self.rollout.handle(event);
        self.note(actions);
        self.asked()
    }

    pub(crate) fn enqueued(&mut self, number: u32) {
        assert_eq!(self.event(Event::Enqueued(instance(number))), []);
    }

    pub(crate) fn refused(&mut self, number: u32) -> Vec<Ask> {
        self.event(Event::JobRefused { instance: instance(number), reason: "access denied".to_owned() })
    }

    pub(crate) fn job(&mut self, number: u32, result: JobResult, unit: Unit) -> Vec<Ask> {
        self.event(Event::JobFinished { instance: instance(number), result, unit })
    }

    pub(crate) fn looked(&mut self, number: u32, unit: Unit) -> Vec<Ask> {
        let instance = instance(number);
        // In these tests the links are set back as soon as the machine asks for it.
        if self.rollout.is_restoring() {
            self.rollout.is_seen_anew(instance);
        }
        self.event(Event::Looked { instance, unit })
    }

    pub(crate) fn settled(&mut self, number: u32, unit: Unit) -> Vec<Ask> {
        self.settled_with(number, unit, Err("nobody counts".to_owned()))
    }

    /// The settle time has passed, and these are the figures.
    pub(crate) fn settled_with(
        &mut self,
        number: u32,
        unit: Unit,
        compared: Result<Compared, String>,
    ) -> Vec<Ask> {
        self.event(Event::Settled { instance: instance(number), unit, compared })
    }

    /// A worker is replaced. Returns what follows.
    pub(crate) fn replace(&mut self, number: u32) -> Vec<Ask> {
        assert_eq!(self.job(number, JobResult::Done, new()), [Ask::Settle(number)]);
        self.settled(number, new())
    }

    /// A worker is back on the old release. Returns what follows.
    pub(crate) fn put_back(&mut self, number: u32) -> Vec<Ask> {
        self.job(number, JobResult::Done, unit(ActiveState::Active, 3))
    }

    /// The deadline of this worker's last try has passed.
    pub(crate) fn too_long(&mut self, number: u32) -> Vec<Ask> {
        let (_, attempt) = *self.attempts.iter().rfind(|(of, _)| *of == number).unwrap();
        self.event(Event::StepDeadline { instance: instance(number), attempt })
    }

    /// Inspects these workers, all in this state, after the old release is current again.
    pub(crate) fn look_at(&mut self, numbers: &[u32], unit: Unit) -> Vec<Ask> {
        numbers.iter().map(|number| self.looked(*number, unit)).last().unwrap_or_default()
    }

    pub(crate) fn states(&self) -> Vec<(u32, StepState)> {
        self.rollout.steps().iter().map(|step| (step.instance().number(), step.state())).collect()
    }
}

/// The plan for these units, all of them wanted. `replaced` has the numbers of those replaced already.
pub(crate) fn planned(units: &[Unit], surge: u32, replaced: &[u32]) -> Vec<Planned> {
    planned_of(u32::try_from(units.len()).unwrap(), units, surge, replaced)
}

/// The plan for these units. The first `wanted` of them are wanted, the others are extra.
pub(crate) fn planned_of(wanted: u32, units: &[Unit], surge: u32, replaced: &[u32]) -> Vec<Planned> {
    let candidates: Vec<_> = (1..)
        .zip(units)
        .map(|(number, unit)| Candidate { instance: instance(number), unit: *unit, is_held: false })
        .collect();
    plan(&candidates, wanted, surge, |instance| replaced.contains(&instance.number()))
}
