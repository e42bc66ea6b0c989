//! Rollouts that were asked for, and those that wait for their turn.

use std::collections::VecDeque;

use names::Instance;

use crate::history::Kind;
use crate::release::ReleaseId;

/// What a rollout is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every worker gets a new process, on the release of the package if that is a new one.
    Reload,
    /// Every worker gets this new release.
    Deploy(ReleaseId),
    /// Every worker gets this release, or the one before the current one.
    Rollback(Option<ReleaseId>),
    /// Every worker goes back to this release, because workers flap or accept nothing.
    Undo(ReleaseId),
    /// These workers, which asked for it, get new processes.
    Recycle(Vec<Instance>),
}

impl Target {
    /// Its kind in the history, before anything is known about its outcome.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reload => Kind::Reload,
            Self::Deploy(_) => Kind::Deploy,
            Self::Rollback(_) => Kind::Rollback,
            Self::Undo(_) => Kind::Undo,
            Self::Recycle(_) => Kind::Recycle,
        }
    }
}

/// A rollout that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What it is for.
    pub target: Target,
    /// After this many workers it waits.
    pub canary: Option<u32>,
    /// Who asked.
    pub by: String,
}

#[derive(Debug)]
struct Queued {
    id: u64,
    order: Order,
    /// How many callers wait for it.
    callers: u32,
}

/// Rollouts that wait for the one under way.
#[derive(Debug, Default)]
pub struct Queue(VecDeque<Queued>);

/// What became of a request to withdraw a rollout.
#[derive(Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It does not wait.
    Unknown,
    /// Others still wait for it.
    ByOne,
    /// No caller waits for it any more.
    ByAll(Order),
}

impl Queue {
    /// More waiting rollouts than this make no sense.
    const LONGEST: usize = 16;

    /// Adds an order. If the last one in the queue is a reload, another reload shares it. When that one
    /// begins, it takes all that is there now. Returns the id, or none if the queue is full.
    pub fn add(&mut self, order: Order, new_id: impl FnOnce() -> u64) -> Option<u64> {
        let is_reload = |order: &Order| order.target == Target::Reload;
        if let Some(last) = self.0.back_mut().filter(|last| is_reload(&last.order) && is_reload(&order)) {
            last.callers = last.callers.saturating_add(1);
            return Some(last.id);
        }
        if self.0.len() >= Self::LONGEST {
            return None;
        }
        let id = new_id();
        self.0.push_back(Queued { id, order, callers: 1 });
        Some(id)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The releases that the waiting rollouts are to bring.
    pub fn releases(&self) -> impl Iterator<Item = &ReleaseId> {
        self.0.iter().filter_map(|queued| match &queued.order.target {
            Target::Deploy(id) | Target::Undo(id) | Target::Rollback(Some(id)) => Some(id),
            Target::Reload | Target::Rollback(None) | Target::Recycle(_) => None,
        })
    }

    /// Takes the next one out of the queue, and returns how many callers wait for it.
    pub fn take(&mut self) -> Option<(u64, Order, u32)> {
        self.0.pop_front().map(|queued| (queued.id, queued.order, queued.callers))
    }

    /// One caller withdraws its order.
    pub fn withdraw(&mut self, id: u64) -> Withdrawn {
        let Some(at) = self.0.iter().position(|queued| queued.id == id) else { return Withdrawn::Unknown };
        self.0[at].callers -= 1;
        if self.0[at].callers > 0 {
            return Withdrawn::ByOne;
        }
        self.0.remove(at).map_or(Withdrawn::Unknown, |queued| Withdrawn::ByAll(queued.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(target: Target) -> Order {
        Order { target, canary: None, by: "root".to_owned() }
    }

    #[test]
    fn reloads_that_wait_are_one() {
        let mut queue = Queue::default();
        let release = ReleaseId::new("1.0.0").unwrap();
        assert_eq!(queue.add(order(Target::Reload), || 1), Some(1));
        assert_eq!(queue.add(order(Target::Reload), || 2), Some(1));
        assert_eq!(queue.add(order(Target::Deploy(release.clone())), || 2), Some(2));
        assert_eq!(queue.add(order(Target::Deploy(release.clone())), || 3), Some(3));
        assert_eq!(queue.add(order(Target::Reload), || 4), Some(4), "it comes after the deployments");
        assert_eq!(queue.withdraw(2), Withdrawn::ByAll(order(Target::Deploy(release))));
        assert_eq!(queue.take().map(|(id, ..)| id), Some(1));
    }

    #[test]
    fn a_shared_reload_is_withdrawn_by_the_last_caller() {
        let mut queue = Queue::default();
        assert_eq!([1, 2].map(|id| queue.add(order(Target::Reload), || id)), [Some(1), Some(1)]);
        assert_eq!(queue.withdraw(1), Withdrawn::ByOne);
        assert_eq!(queue.withdraw(1), Withdrawn::ByAll(order(Target::Reload)));
        assert_eq!(queue.withdraw(1), Withdrawn::Unknown);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::default();
        let mut add = |id| queue.add(order(Target::Rollback(None)), || id);
        assert!((0..Queue::LONGEST as u64).all(|id| add(id).is_some()));
        assert_eq!(add(99), None);
    }
}
