//! How a rollout ended, as a state and a sentence.

use names::Instance;

use super::active::ActiveRollout;
use crate::event::{Cause, Outcome};
use crate::view;

impl ActiveRollout {
    /// Sets the state and the sentence that say how the rollout ended. `stragglers` run another release than
    /// they should; `missing` should run and do not.
    pub(crate) fn conclude(
        &mut self,
        outcome: &Outcome,
        unit_of: impl Fn(Instance) -> String,
        stragglers: &[Instance],
        missing: &[Instance],
    ) {
        let (replaced, total) = self.count_replaced();
        let failed = |cause: &Cause| match (cause, &self.record.failure) {
            (Cause::Fault(..), Some(failure)) => {
                format!("{} {}", unit_of(failure.instance), failure.reason)
            }
            (Cause::Interrupted, _) => self.known_failure.clone().unwrap_or_else(|| cause.to_string()),
            _ => cause.to_string(),
        };
        let from = self.record.from.as_ref().map(ToString::to_string).unwrap_or_default();
        use view::RolloutState as State;
        let (state, message) = match outcome {
            Outcome::Done => {
                let left_out = self.plan.left_out.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
                (State::Done, format!("{replaced} of {total} replaced{}{left_out}", self.release()))
            }
            Outcome::Stopped => (
                State::Aborted,
                format!("stopped on request: {replaced} of {total} replaced; reload again to finish"),
            ),
            Outcome::Restored(cause) if !stragglers.is_empty() => (
                State::Failed,
                format!("{}; release {from} is back, but not on {}", failed(cause), list(stragglers)),
            ),
            Outcome::Restored(cause) if self.plan.from.is_none() => {
                (State::Restored, format!("{}; no other worker was touched", failed(cause)))
            }
            Outcome::Restored(cause) => {
                let (state, back) = match missing {
                    [] => (State::Restored, "back everywhere".to_owned()),
                    missing => (State::Failed, format!("back, and not ready: {}", list(missing))),
                };
                let state = if *cause == Cause::Aborted { State::Aborted } else { state };
                (state, format!("{}; release {from} is {back}", failed(cause)))
            }
            Outcome::Failed(cause) => {
                let rest = self.stuck.clone().unwrap_or_else(|| match self.has_turned_back {
                    true => format!("the way back to release {from} failed too"),
                    false => format!("{replaced} of {total} were replaced before, no other was touched"),
                });
                (State::Failed, format!("{}; {rest}", failed(cause)))
            }
        };
        self.record.state = state;
        self.record.message = message + &self.losses();
    }

    /// The connections that were closed by force.
    fn losses(&self) -> String {
        match self.cut {
            0 => String::new(),
            1 => "; 1 connection was closed by force at the end of a drain".to_owned(),
            cut => format!("; {cut} connections were closed by force at the end of their drains"),
        }
    }

    fn release(&self) -> String {
        self.plan.to.as_ref().map(|to| format!(", release {to}")).unwrap_or_default()
    }
}

fn list(instances: &[Instance]) -> String {
    instances.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
