//! Workers that ask to be replaced. A separate rollout replaces only these workers.
//!
//! A worker asks with `STATUS=recycle: <reason>` (sd_notify(3)). The status stays until another process runs,
//! so an orchestrator that starts later still finds it.

use names::Instance;

use super::Cluster;
use super::preparing::Purpose as For;
use crate::history::Kind;
use crate::moment::Moment;
use crate::order::{Order, Target};
use crate::recycle::{Recycling, due};
use crate::view;

impl Cluster {
    /// Begins to replace the workers that ask for it, if that is possible now.
    pub(super) fn maybe_recycle(&mut self) {
        if !self.does_any_ask() {
            return;
        }
        let is_busy = self.is_busy() || self.unfinished.is_some() || !self.queue.is_empty();
        if !self.is_running() || is_busy || !self.recycling.may_try(self.now.moment) || !self.is_connected {
            return;
        }
        let reason =
            |instance: Instance| self.workers.get(&instance).and_then(|worker| worker.info.asks.clone());
        let due = due(self.settings.workers, &self.candidates(), |instance| reason(instance).is_some());
        if due.is_empty() {
            return;
        }
        let by: Vec<_> = due.iter().map(|&i| format!("{i} ({})", reason(i).unwrap_or_default())).collect();
        let order = Order { target: Target::Recycle(due), canary: None, by: by.join(", ") };
        let id = self.new_id();
        self.prepare(id, For::Order(order, None));
    }

    fn does_any_ask(&self) -> bool {
        self.workers.values().any(|worker| worker.info.asks.is_some())
    }

    pub(super) fn recycling_refused(&mut self, order: &Order, why: &str) {
        let pause = self.recycling.failed(self.now.moment);
        self.warn(format!(
            "{} asked to be replaced, which is refused: {why}; it goes on serving, next try in {pause:?}",
            order.by
        ));
    }

    /// A rollout has ended. If it was complete, a recycling may be tried at once again, whatever the rollout
    /// was for.
    pub(super) fn learn_for_recycling(&mut self, record: &view::Rollout) {
        match (record.state, record.kind) {
            (view::RolloutState::Done, _) => self.recycling = Recycling::default(),
            (_, Kind::Recycle) => {
                let pause = self.recycling.failed(self.now.moment);
                self.warn_in(
                    record.id,
                    format!("workers that still ask to be replaced go on serving, next try in {pause:?}"),
                );
            }
            _ => {}
        }
    }

    pub(super) fn recycle_wake(&self) -> Option<Moment> {
        let next = self.recycling.next_try().filter(|at| *at > self.now.moment);
        next.filter(|_| self.does_any_ask())
    }
}
