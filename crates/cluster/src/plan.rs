//! Which workers a rollout replaces, and in which order.

use crate::unit::{Instance, Unit};

/// One worker, as the plan and the keeper see it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Which one.
    pub instance: Instance,
    /// Its unit.
    pub unit: Unit,
    /// An operator stopped it.
    pub is_held: bool,
}

/// What a worker is in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// One of the wanted ones.
    Wanted,
    /// Beyond the wanted number. It is started first and stopped last, so that no worker is missing
    /// meanwhile.
    Surge,
}

/// One worker's place in the plan.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// Which one.
    pub instance: Instance,
    /// What it is there for.
    pub role: Role,
    /// Its unit.
    pub unit: Unit,
    /// An operator stopped it, and it stays stopped.
    pub is_held: bool,
    /// This rollout has already started its process, under an earlier orchestrator.
    pub is_replaced: bool,
    /// Its link points to the new release, so any process that it has or gets may run that one.
    pub is_linked: bool,
    /// It is not known whether its process runs the old release or the new one.
    pub is_unsure: bool,
}

/// The plan for the wanted workers and up to `surge` extra ones, which have the numbers after `desired`.
///
/// The extra ones come first: they show that a release does not work before a worker that serves is touched.
/// Then come wanted workers that do not serve anyway, because they cost no capacity, then the others by
/// number. There are no more extra workers than workers to replace.
pub fn plan(
    candidates: &[Candidate],
    desired: u32,
    surge: u32,
    is_replaced: impl Fn(Instance) -> bool,
) -> Vec<Planned> {
    // A worker that is up does not count as stopped, whatever the ledger says.
    let is_held = |candidate: &Candidate| candidate.is_held && !candidate.unit.is_up();
    let place = |candidate: &Candidate, role| Planned {
        instance: candidate.instance,
        role,
        unit: candidate.unit,
        is_held: is_held(candidate) && role == Role::Wanted,
        is_replaced: is_replaced(candidate.instance),
        is_linked: false,
        is_unsure: false,
    };
    let (mut wanted, others): (Vec<Candidate>, Vec<Candidate>) =
        candidates.iter().copied().partition(|candidate| candidate.instance.number() <= desired);
    let to_replace = wanted.iter().filter(|candidate| !is_held(candidate)).count();
    let surge = surge.min(u32::try_from(to_replace).unwrap_or(u32::MAX));
    let extra = (1..=surge).filter_map(|n| Instance::new(desired.saturating_add(n))).map(|instance| {
        let known = others.iter().find(|candidate| candidate.instance == instance);
        let unknown = Candidate { instance, unit: Unit::INACTIVE, is_held: false };
        place(known.unwrap_or(&unknown), Role::Surge)
    });
    let mut plan: Vec<_> = extra.collect();
    wanted.sort_by_key(|candidate| (candidate.unit.is_active(), candidate.instance));
    plan.extend(wanted.iter().map(|candidate| place(candidate, Role::Wanted)));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::ActiveState;

    fn candidate(number: u32, active: ActiveState, is_held: bool) -> Candidate {
        let unit = Unit { active, ..Unit::INACTIVE };
        Candidate { instance: Instance::new(number).unwrap(), unit, is_held }
    }

    fn numbers(plan: &[Planned]) -> Vec<u32> {
        plan.iter().map(|planned| planned.instance.number()).collect()
    }

    #[test]
    fn extra_ones_come_first_then_broken_ones() {
        let candidates = [
            candidate(2, ActiveState::Active, false),
            candidate(1, ActiveState::Active, false),
            candidate(4, ActiveState::Activating, false),
            candidate(3, ActiveState::Inactive, true),
        ];
        let plan = plan(&candidates, 4, 1, |_| false);
        assert_eq!(numbers(&plan), [5, 3, 4, 1, 2]);
        assert_eq!(plan[0].role, Role::Surge);
        assert!(plan[1].is_held);
    }

    #[test]
    fn there_are_no_more_extra_ones_than_workers_to_replace() {
        let one = [candidate(1, ActiveState::Active, false)];
        assert_eq!(numbers(&plan(&one, 1, 3, |_| false)), [2, 1]);
        let held = [candidate(1, ActiveState::Inactive, true)];
        assert_eq!(numbers(&plan(&held, 1, 3, |_| false)), [1]);
    }
}
