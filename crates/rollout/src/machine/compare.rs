//! Who is compared with whom while a worker settles, and what follows.

use super::Rollout;
use crate::event::Action;
use crate::numbers::{Compared, Excess, Verdict};
use crate::step::{Step, StepState};
use crate::unit::Instance;

/// The figures of more old workers would not say more, and there may be hundreds for each of many that settle.
const MOST_OLD: usize = 32;

impl Rollout {
    /// Whose answers are to be counted while this worker settles: its own, and those of the old workers, which come
    /// after it. Nobody's if it does not settle, or nothing is compared.
    ///
    /// Old are those that the rollout has not touched, in the process that they had when it began: one that crashed
    /// since has come up on the new release. Who is replaced last is named first, for it stays longest.
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

    /// Compares one that has settled otherwise. What has to be told is told once, and not when others before it were
    /// compared: at the end no old worker is left.
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
