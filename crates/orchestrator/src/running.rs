//! A rollout under way: the machine that decides, and the record that is shown of it.

use std::time::{Duration, SystemTime};

use rollout::{Fault, Instance, Outcome, Rollout, StepState};

use crate::names::Names;
use crate::releases::ReleaseId;

/// The last words of the worker that failed.
#[derive(Debug)]
pub(crate) enum LastWords {
    /// Nothing failed so far.
    NotNeeded,
    /// Being read from the journal.
    Awaited,
    /// Read; may be none.
    Known,
}

/// A rollout that may begin: what was found out and prepared for it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The release to go back to; none if the workers are only restarted.
    pub(crate) from: Option<ReleaseId>,
    /// The release that is current now.
    pub(crate) to: Option<ReleaseId>,
    /// How long one worker may take at most.
    pub(crate) step_timeout: Duration,
}

/// A rollout under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) machine: Rollout,
    pub(crate) record: api::Rollout,
    /// The release to go back to; none if the workers are only restarted.
    pub(crate) from: Option<ReleaseId>,
    pub(crate) to: Option<ReleaseId>,
    /// When the process at hand was started: what the worker said since then is what it failed with.
    pub(crate) step_began: SystemTime,
    pub(crate) last_words: LastWords,
    /// How it ended, once it has.
    pub(crate) outcome: Option<Outcome>,
    /// Why the old release could not be made current again.
    pub(crate) stuck: Option<String>,
}

impl Running {
    /// A rollout at its beginning.
    pub(crate) fn new(id: u64, machine: Rollout, prepared: Prepared) -> Self {
        let Prepared { from, to, step_timeout } = prepared;
        let name = |id: &Option<ReleaseId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
        let record = api::Rollout {
            id,
            state: api::RolloutState::Running,
            from: name(if from.is_some() { &from } else { &to }),
            to: name(&to),
            steps: Vec::new(),
            message: String::new(),
            failure: Vec::new(),
            step_timeout_usec: u64::try_from(step_timeout.as_micros()).unwrap_or(u64::MAX),
        };
        Self {
            machine,
            record,
            from,
            to,
            step_began: SystemTime::now(),
            last_words: LastWords::NotNeeded,
            outcome: None,
            stuck: None,
        }
    }

    /// Brings the record up to date with the machine.
    pub(crate) fn refresh(&mut self) {
        self.record.steps = self.machine.steps().iter().map(step_record).collect();
        if self.outcome.is_none() {
            self.record.message = self.progress();
        }
    }

    /// `rolling to 1.3.0: 2 of 4 replaced, worker@3 restarting`
    fn progress(&self) -> String {
        let steps = self.machine.steps();
        let done = steps.iter().filter(|step| step.state == StepState::Done).count();
        let at_hand = steps.iter().find_map(|step| match step.state {
            StepState::Restarting => Some(format!(", {} restarting", step.instance)),
            StepState::Settling => Some(format!(", {} ready and settling", step.instance)),
            _ => None,
        });
        match self.machine.fault() {
            Some((instance, fault)) => {
                format!("{instance} {fault}; going back to release {}", self.record.from)
            }
            None => {
                format!("{}: {done} of {} replaced{}", self.goal(), steps.len(), at_hand.unwrap_or_default())
            }
        }
    }

    /// `rolling to 1.3.0`, `restarting`
    pub(crate) fn goal(&self) -> String {
        match &self.to {
            Some(to) if self.from.is_some() => format!("rolling to release {to}"),
            _ => "restarting one after another".to_owned(),
        }
    }

    /// Notes which worker failed and why; `exit` is how its process ended.
    pub(crate) fn note_failure(
        &mut self,
        names: &Names,
        instance: Instance,
        fault: &Fault,
        exit: Option<&str>,
    ) {
        let reason = match exit {
            Some(exit) => format!("{fault}: it {exit}"),
            None => fault.to_string(),
        };
        let unit = names.unit(instance);
        self.record.failure =
            vec![api::Failure { instance: instance.number(), unit, reason, journal: Vec::new() }];
    }

    /// The state and the sentence that tell how it ended.
    pub(crate) fn conclude(&mut self, outcome: &Outcome, stragglers: &[Instance]) {
        let steps = self.machine.steps();
        let replaced = steps.iter().filter(|step| step.state == StepState::Done).count();
        let total = steps.len();
        let failed = match self.record.failure.first() {
            Some(failure) => format!("{} {}", failure.unit, failure.reason),
            None => String::new(),
        };
        let (state, message) = match outcome {
            Outcome::Done => {
                (api::RolloutState::Done, format!("{replaced} of {total} replaced{}", self.release()))
            }
            Outcome::Aborted => {
                let message = format!(
                    "stopped on request: {replaced} of {total} replaced{}; reload again to finish",
                    self.release()
                );
                (api::RolloutState::Aborted, message)
            }
            Outcome::Restored(..) if stragglers.is_empty() => (
                api::RolloutState::Restored,
                format!("{failed}; release {} is back everywhere", self.record.from),
            ),
            Outcome::Restored(..) => (
                api::RolloutState::Failed,
                format!("{failed}; release {} is back, but not on {}", self.record.from, list(stragglers)),
            ),
            Outcome::Failed(instance, _) => {
                let rest = self.stuck.clone().unwrap_or_else(|| match self.from {
                    Some(_) => format!("the way back to release {} failed too", self.record.from),
                    None => format!(
                        "{} other workers untouched, {instance} left to systemd",
                        total - replaced - 1
                    ),
                });
                (api::RolloutState::Failed, format!("{failed}; {rest}"))
            }
        };
        self.record.state = state;
        self.record.message = message;
    }

    fn release(&self) -> String {
        self.to.as_ref().map(|to| format!(", release {to}")).unwrap_or_default()
    }
}

fn list(instances: &[Instance]) -> String {
    instances.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn step_record(step: &rollout::Step) -> api::Step {
    let state = match step.state {
        StepState::Waiting => api::StepState::Waiting,
        StepState::Restarting => api::StepState::Restarting,
        StepState::Settling => api::StepState::Settling,
        StepState::Done => api::StepState::Done,
        StepState::Failed => api::StepState::Failed,
        StepState::Restoring => api::StepState::Restoring,
        StepState::Restored => api::StepState::Restored,
    };
    api::Step { instance: step.instance.number(), state }
}
