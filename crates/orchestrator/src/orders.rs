//! What was asked for and has to wait for its turn.

use std::collections::VecDeque;

use rollout::Instance;

use crate::releases::ReleaseId;

/// What a rollout is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Every worker in a new process, on the release the package brings if that is a new one.
    Reload,
    /// Every worker on this new release.
    Deploy(ReleaseId),
    /// Every worker on this release, or on the one before the current.
    Rollback(Option<ReleaseId>),
    /// Every worker back on this release, because they flap.
    Undo(ReleaseId),
    /// These workers, which asked for it, in new processes.
    Recycle(Vec<Instance>),
}

/// A rollout that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) wish: Wish,
    /// After so many workers it waits.
    pub(crate) canary: Option<u32>,
    /// Who asked.
    pub(crate) by: String,
}

/// Rollouts that wait for the one under way, by id.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    orders: VecDeque<(u64, Order)>,
}

impl Queue {
    /// More than this nobody means.
    const LONGEST: usize = 16;

    /// Adds an order. Whoever wants a reload while the last one in the queue is one shares it: when it begins,
    /// what is there now will be there. Returns its id, or nothing when the queue is full.
    pub(crate) fn add(&mut self, order: Order, new_id: impl FnOnce() -> u64) -> Option<u64> {
        match self.orders.back() {
            Some((id, last)) if last.wish == Wish::Reload && order.wish == Wish::Reload => Some(*id),
            _ if self.orders.len() >= Self::LONGEST => None,
            _ => {
                let id = new_id();
                self.orders.push_back((id, order));
                Some(id)
            }
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// The releases that rollouts wait for.
    pub(crate) fn releases(&self) -> impl Iterator<Item = &ReleaseId> {
        self.orders.iter().filter_map(|(_, order)| match &order.wish {
            Wish::Deploy(id) | Wish::Undo(id) | Wish::Rollback(Some(id)) => Some(id),
            Wish::Reload | Wish::Rollback(None) | Wish::Recycle(_) => None,
        })
    }

    /// Whoever is next.
    pub(crate) fn next(&mut self) -> Option<(u64, Order)> {
        self.orders.pop_front()
    }

    /// Takes an order back.
    pub(crate) fn withdraw(&mut self, id: u64) -> Option<Order> {
        let at = self.orders.iter().position(|(queued, _)| *queued == id)?;
        self.orders.remove(at).map(|(_, order)| order)
    }

    /// Forgets all orders, and returns their ids.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        self.orders.drain(..).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(wish: Wish) -> Order {
        Order { wish, canary: None, by: "root".to_owned() }
    }

    #[test]
    fn reloads_that_wait_are_one() {
        let mut queue = Queue::default();
        let release = ReleaseId::new("1.0.0").unwrap();
        assert_eq!(queue.add(order(Wish::Reload), || 1), Some(1));
        assert_eq!(queue.add(order(Wish::Reload), || 2), Some(1));
        assert_eq!(queue.add(order(Wish::Deploy(release.clone())), || 2), Some(2));
        assert_eq!(queue.add(order(Wish::Deploy(release.clone())), || 3), Some(3));
        assert_eq!(queue.add(order(Wish::Reload), || 4), Some(4), "it comes after the deployments");
        assert_eq!(queue.withdraw(2), Some(order(Wish::Deploy(release))));
        assert_eq!(queue.next().map(|(id, _)| id), Some(1));
        assert_eq!(queue.clear(), [3, 4]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::default();
        let mut add = |id| queue.add(order(Wish::Rollback(None)), || id);
        assert!((0..Queue::LONGEST as u64).all(|id| add(id).is_some()));
        assert_eq!(add(99), None);
    }
}
