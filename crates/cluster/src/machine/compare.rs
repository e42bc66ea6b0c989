//! Which workers are compared while one settles, and what follows.

use super::Rollout;
use crate::event::Action;
use crate::numbers::{Compared, Excess, Verdict};
use crate::step::{Step, StepState};
use crate::unit::Instance;

/// How many old workers are compared. More figures would not say more, and each of many settling workers may
/// have hundreds.
const MOST_OLD: usize = 32;

impl Rollout {
    /// The workers whose answers are counted while this one settles: itself, then the old ones. None if it
    /// does not settle, or nothing is compared.
    ///
    /// A worker is old if the rollout has not touched it, and it has the process that it had at the
    /// beginning. One that crashed since has come up on the new release. The worker that is replaced last
    /// comes first, because it stays longest.
    pub fn to_compare(&self, instance: Instance) -> Vec<Instance> {
        let settles = |step: &Step| step.state == StepState::Settling;
        if !self.policy.limits.is_set() || !self.step(instance).is_some_and(settles) {
            return Vec::new();
        }
        let is_old =
            |step: &&Step| step.state == StepState::Waiting && !step.is_surge() && step.is_original();
        let old = self.steps.iter().rev().filter(is_old).map(Step::instance).take(MOST_OLD);
        std::iter::once(instance).chain(old).collect()
    }

    /// Compares a worker that has settled in every other respect. If it could not be compared, that is
    /// reported once, and only if no other was compared before. At the end no old worker is left.
    pub(super) fn compare(
        &mut self,
        at: usize,
        compared: Result<Compared, String>,
    ) -> Result<Option<Action>, Excess> {
        let why = match self.policy.limits.judge(compared) {
            Verdict::Failed(excess) => return Err(excess),
            Verdict::Passed => None,
            Verdict::Undecided(why) => Some(why),
        };
        let was_told = std::mem::replace(&mut self.is_comparing_told, true);
        Ok(why.filter(|_| !was_told).map(|why| Action::TellUndecided(self.steps[at].instance, why)))
    }
}
