//! Which workers a rollout replaces, and in which order.

use crate::unit::{Instance, Unit};

/// One worker as the planner sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Which one.
    pub instance: Instance,
    /// Its unit.
    pub unit: Unit,
    /// Somebody stopped it on purpose.
    pub is_held: bool,
}

/// The instances to replace, in order: first those that do not serve anyway, so that a release that mends
/// them costs no capacity and one that does not is found out before a healthy worker is touched; then the
/// others by number. A worker that was stopped on purpose stays stopped.
pub fn plan(candidates: &[Candidate]) -> Vec<Instance> {
    let mut chosen: Vec<_> = candidates.iter().filter(|c| !c.is_held).collect();
    chosen.sort_by_key(|c| (c.unit.is_active(), c.instance));
    chosen.into_iter().map(|c| c.instance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::ActiveState;

    fn candidate(number: u32, active: ActiveState, is_held: bool) -> Candidate {
        let unit = Unit { active, invocation: None, restarts: 0, has_job: false };
        Candidate { instance: Instance::new(number).unwrap(), unit, is_held }
    }

    #[test]
    fn broken_ones_come_first_and_held_ones_not_at_all() {
        let order = plan(&[
            candidate(2, ActiveState::Active, false),
            candidate(1, ActiveState::Active, false),
            candidate(4, ActiveState::Activating, false),
            candidate(3, ActiveState::Inactive, true),
        ]);
        assert_eq!(order.into_iter().map(Instance::number).collect::<Vec<_>>(), [4, 1, 2]);
    }
}
