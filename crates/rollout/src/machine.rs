//! One rollout: the workers are replaced one after another, and the first that fails ends it.
//!
//! ```text
//!              begin                 job done, active, new invocation
//!   (plan) ---------------> Restarting --------------------------------> Settling
//!                           ^   |                                          |   |
//!                           |   | job failed, process gone, refused        |   | settled
//!              next worker  |   +-----------------+   left active,         |   v
//!                           |                     |   restarted            |   all replaced? --> Finished(Done)
//!                           +---------------------|------------------------|---+   abort asked? --> Finished(Aborted)
//!                                                 v                        |
//!                                              (fault) <-------------------+
//!                                                 |
//!                        old release known        |       nothing to put back
//!             Restoring <-------------------------+--------------------------> Finished(Failed)
//!              |    ^
//!              |    | next: the failed worker first, then those already replaced
//!              v    |
//!             active again --> none left --> Finished(Restored), or Finished(Failed) if one did not come back
//! ```
//!
//! The machine trusts levels, not edges: a finished job proves nothing until the unit is active with another
//! invocation, and stays so for the settle time. An event that does not belong to the worker at hand is
//! answered with [`Action::Ignore`] and changes nothing.

use std::fmt;
use std::time::Duration;

use crate::unit::{ActiveState, Instance, InvocationId, JobResult, Unit};

/// How a rollout is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a new worker has to stay active before the next one is touched.
    pub settle: Duration,
    /// Whether there is an old release to go back to. Without one a failed rollout stops where it is.
    pub can_restore: bool,
}

/// What the driver tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The job that [`Action::Restart`] enqueued has ended; `unit` was read after that.
    JobFinished {
        /// The worker.
        instance: Instance,
        /// The job's result.
        result: JobResult,
        /// The unit as it is now.
        unit: Unit,
    },
    /// systemd did not accept the job.
    JobRefused {
        /// The worker.
        instance: Instance,
        /// systemd's reason.
        reason: String,
    },
    /// The unit was looked at: because it changed, because a signal may have been missed, because the bus is back.
    Looked {
        /// The worker.
        instance: Instance,
        /// The unit as it is now.
        unit: Unit,
    },
    /// The settle time that [`Action::Settle`] asked for is over; `unit` was read after that.
    Settled {
        /// The worker.
        instance: Instance,
        /// The unit as it is now.
        unit: Unit,
    },
    /// Somebody wants the rollout to end after the worker it is at.
    AbortRequested,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Enqueue a restart job for this worker and report its end.
    Restart(Instance),
    /// Report [`Event::Settled`] after this time.
    Settle(Instance, Duration),
    /// Make the old release current again, before the next [`Action::Restart`].
    RestoreRelease,
    /// The rollout is over.
    Finish(Outcome),
    /// The event was out of place and changed nothing.
    Ignore(&'static str),
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every worker was replaced.
    Done,
    /// Ended on request; workers after that one are untouched.
    Aborted,
    /// A worker failed; all workers touched are back on the old release and active.
    Restored(Instance, Fault),
    /// A worker failed, and it or another touched one is not active on the old release.
    Failed(Instance, Fault),
}

/// What was wrong with a worker, as a phrase that follows its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// systemd did not accept the job.
    Refused(String),
    /// The restart job ended with something else than `done`.
    Job(JobResult),
    /// The job was done and yet the unit is not active.
    NotActive(ActiveState),
    /// The job was done and yet the old process is still there.
    SameProcess,
    /// It became ready and ended or was restarted within the settle time.
    Unsettled,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "was not restarted: {reason}"),
            Self::Job(JobResult::Failed) => f.write_str("failed before it was ready"),
            Self::Job(JobResult::Timeout) => f.write_str("was not ready in time"),
            Self::Job(JobResult::Canceled) => {
                f.write_str("was not restarted: another job took the restart's place")
            }
            Self::Job(result) => write!(f, "was not restarted: job result {result}"),
            Self::NotActive(state) => write!(f, "is {state} although its restart was done"),
            Self::SameProcess => f.write_str("still runs its old process although its restart was done"),
            Self::Unsettled => f.write_str("became ready and did not stay so for the settle time"),
        }
    }
}

/// How far one worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Not touched.
    Waiting,
    /// The old process drains, the new one starts.
    Restarting,
    /// Ready; has to stay so.
    Settling,
    /// Replaced.
    Done,
    /// Failed and, where there was nothing to put back, left to systemd.
    Failed,
    /// Has to go back, or is on its way back to the old release.
    Restoring,
    /// Back on the old release.
    Restored,
}

/// One worker's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The worker.
    pub instance: Instance,
    /// How far it is.
    pub state: StepState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Restarting { at: usize },
    Settling { at: usize, invocation: Option<InvocationId>, restarts: u32 },
    Restoring { at: usize },
    Finished,
}

/// A rollout under way.
#[derive(Debug, Clone)]
pub struct Rollout {
    policy: Policy,
    steps: Vec<Step>,
    /// Which process each worker ran before the step that is under way.
    before: Vec<Option<InvocationId>>,
    phase: Phase,
    is_aborting: bool,
    fault: Option<(Instance, Fault)>,
}

impl Rollout {
    /// Begins: replaces these workers, in this order. An empty plan is done at once.
    pub fn begin(plan: &[(Instance, Option<InvocationId>)], policy: Policy) -> (Self, Vec<Action>) {
        let steps = plan.iter().map(|&(instance, _)| Step { instance, state: StepState::Waiting }).collect();
        let before = plan.iter().map(|&(_, invocation)| invocation).collect();
        let mut rollout =
            Self { policy, steps, before, phase: Phase::Finished, is_aborting: false, fault: None };
        let actions = rollout.next_worker();
        (rollout, actions)
    }

    /// Every worker's part, in the order of the plan.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The worker that failed, and how.
    pub fn fault(&self) -> Option<&(Instance, Fault)> {
        self.fault.as_ref()
    }

    /// Whether workers are being put back on the old release.
    pub fn is_restoring(&self) -> bool {
        matches!(self.phase, Phase::Restoring { .. })
    }

    /// The worker whose restart is under way, if any.
    pub fn restarting(&self) -> Option<Instance> {
        match self.phase {
            Phase::Restarting { at } | Phase::Restoring { at } => Some(self.steps[at].instance),
            Phase::Settling { .. } | Phase::Finished => None,
        }
    }

    /// Takes one event and says what to do.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::AbortRequested => self.abort_requested(),
            Event::JobFinished { instance, result, unit } => match self.phase {
                Phase::Restarting { at } if self.is_at(at, instance) => {
                    self.restart_finished(at, result, unit)
                }
                Phase::Restoring { at } if self.is_at(at, instance) => {
                    self.restore_finished(at, unit.is_active() && unit.invocation != self.before[at])
                }
                _ => ignore("a job of a worker that is not being restarted"),
            },
            Event::JobRefused { instance, reason } => match self.phase {
                Phase::Restarting { at } if self.is_at(at, instance) => {
                    self.failed(at, Fault::Refused(reason), self.before[at])
                }
                Phase::Restoring { at } if self.is_at(at, instance) => self.restore_finished(at, false),
                _ => ignore("a refused job of a worker that is not being restarted"),
            },
            Event::Looked { instance, unit } => match self.phase {
                Phase::Restarting { at } if self.is_at(at, instance) => {
                    self.looked_while_restarting(at, unit)
                }
                Phase::Restoring { at } if self.is_at(at, instance) => self.looked_while_restoring(at, unit),
                Phase::Settling { at, invocation, restarts } if self.is_at(at, instance) => {
                    if is_same_run(unit, invocation, restarts) {
                        ignore("the worker is as it was")
                    } else {
                        self.failed(at, Fault::Unsettled, unit.invocation)
                    }
                }
                _ => ignore("a worker that is not at hand"),
            },
            Event::Settled { instance, unit } => match self.phase {
                Phase::Settling { at, invocation, restarts } if self.is_at(at, instance) => {
                    self.settled(at, unit, is_same_run(unit, invocation, restarts))
                }
                _ => ignore("a settle time of a worker that is not settling"),
            },
        }
    }

    fn is_at(&self, at: usize, instance: Instance) -> bool {
        self.steps[at].instance == instance
    }

    fn next_worker(&mut self) -> Vec<Action> {
        let waiting = self.steps.iter().position(|step| step.state == StepState::Waiting);
        match waiting {
            Some(_) if self.is_aborting => self.finish(Outcome::Aborted),
            Some(at) => {
                self.steps[at].state = StepState::Restarting;
                self.phase = Phase::Restarting { at };
                vec![Action::Restart(self.steps[at].instance)]
            }
            None => self.finish(Outcome::Done),
        }
    }

    fn restart_finished(&mut self, at: usize, result: JobResult, unit: Unit) -> Vec<Action> {
        match result {
            JobResult::Done if !unit.is_active() => {
                self.failed(at, Fault::NotActive(unit.active), unit.invocation)
            }
            JobResult::Done if unit.invocation == self.before[at] => {
                self.failed(at, Fault::SameProcess, unit.invocation)
            }
            JobResult::Done => {
                self.steps[at].state = StepState::Settling;
                self.phase = Phase::Settling { at, invocation: unit.invocation, restarts: unit.restarts };
                vec![Action::Settle(self.steps[at].instance, self.policy.settle)]
            }
            other => self.failed(at, Fault::Job(other), unit.invocation),
        }
    }

    /// The job's end may have been missed: the unit itself tells.
    fn looked_while_restarting(&mut self, at: usize, unit: Unit) -> Vec<Action> {
        match unit.active {
            _ if unit.has_job => ignore("its job is still there"),
            ActiveState::Active if unit.invocation == self.before[at] => {
                vec![Action::Restart(self.steps[at].instance)]
            }
            ActiveState::Active => self.restart_finished(at, JobResult::Done, unit),
            ActiveState::Failed => self.failed(at, Fault::Job(JobResult::Failed), unit.invocation),
            ActiveState::Inactive => self.failed(at, Fault::NotActive(unit.active), unit.invocation),
            ActiveState::Activating | ActiveState::Deactivating | ActiveState::Other => {
                ignore("the worker is between two states")
            }
        }
    }

    fn looked_while_restoring(&mut self, at: usize, unit: Unit) -> Vec<Action> {
        match unit.active {
            _ if unit.has_job => ignore("its job is still there"),
            ActiveState::Active if unit.invocation == self.before[at] => {
                vec![Action::Restart(self.steps[at].instance)]
            }
            ActiveState::Active => self.restore_finished(at, true),
            ActiveState::Failed | ActiveState::Inactive => self.restore_finished(at, false),
            ActiveState::Activating | ActiveState::Deactivating | ActiveState::Other => {
                ignore("the worker is between two states")
            }
        }
    }

    fn settled(&mut self, at: usize, unit: Unit, is_same_run: bool) -> Vec<Action> {
        if !is_same_run {
            return self.failed(at, Fault::Unsettled, unit.invocation);
        }
        self.before[at] = unit.invocation;
        self.steps[at].state = StepState::Done;
        self.next_worker()
    }

    /// `seen` is the process the fault was seen on: whatever is to come back must be another.
    fn failed(&mut self, at: usize, fault: Fault, seen: Option<InvocationId>) -> Vec<Action> {
        let instance = self.steps[at].instance;
        self.before[at] = seen;
        self.fault = Some((instance, fault.clone()));
        if !self.policy.can_restore {
            self.steps[at].state = StepState::Failed;
            return self.finish(Outcome::Failed(instance, fault));
        }
        for step in self.steps.iter_mut().filter(|step| step.state == StepState::Done) {
            step.state = StepState::Restoring;
        }
        self.steps[at].state = StepState::Restoring;
        let mut actions = vec![Action::RestoreRelease];
        actions.extend(self.restore(at));
        actions
    }

    fn restore(&mut self, at: usize) -> Vec<Action> {
        self.phase = Phase::Restoring { at };
        vec![Action::Restart(self.steps[at].instance)]
    }

    fn restore_finished(&mut self, at: usize, is_back: bool) -> Vec<Action> {
        self.steps[at].state = if is_back { StepState::Restored } else { StepState::Failed };
        if let Some(next) = self.steps.iter().position(|step| step.state == StepState::Restoring) {
            return self.restore(next);
        }
        let all_back = self.steps.iter().all(|step| step.state != StepState::Failed);
        match self.fault.clone() {
            Some((instance, fault)) if all_back => self.finish(Outcome::Restored(instance, fault)),
            Some((instance, fault)) => self.finish(Outcome::Failed(instance, fault)),
            None => ignore("nothing failed"),
        }
    }

    fn abort_requested(&mut self) -> Vec<Action> {
        if self.phase == Phase::Finished {
            return ignore("the rollout is over");
        }
        self.is_aborting = true;
        Vec::new()
    }

    fn finish(&mut self, outcome: Outcome) -> Vec<Action> {
        self.phase = Phase::Finished;
        vec![Action::Finish(outcome)]
    }
}

fn is_same_run(unit: Unit, invocation: Option<InvocationId>, restarts: u32) -> bool {
    unit.is_active() && unit.invocation == invocation && unit.restarts == restarts
}

fn ignore(why: &'static str) -> Vec<Action> {
    vec![Action::Ignore(why)]
}
