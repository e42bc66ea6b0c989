//! What operators have ordered, and which releases they have left.

use cluster::history::{Kind, State};
use cluster::release::ReleaseId;
use cluster::view;

use crate::world::World;

impl World {
    /// A waiting rollout is withdrawn. This fails if one caller withdraws it while another still waits for
    /// it.
    pub(super) fn watch_withdrawn(&mut self, rollout: &view::Rollout) {
        let waiting = self.people.waiting(rollout.id);
        if rollout.message.starts_with("withdrawn") && self.people.is_withdrawing(rollout.id) && waiting > 1 {
            self.violate("an order is withdrawn by all", || {
                format!("{waiting} wait for {}, and one withdraws it", rollout.id)
            });
        }
    }

    /// The package's release is rolled out, or becomes current at the start of the whole cluster.
    pub(crate) fn watch_left(&mut self, id: &ReleaseId, is_package: bool) {
        if is_package && !self.disk.has_lost() && self.was_left(id) {
            self.violate("what was left stays left", || format!("{id} is brought back"));
        }
    }

    /// Whether an operator went back from this release, and no rollout has brought it back by name since.
    fn was_left(&self, id: &ReleaseId) -> bool {
        let is_about = |of: &Option<ReleaseId>| of.as_ref() == Some(id);
        let ended = self.disk.history.iter().rev().filter(|entry| entry.state == State::Done);
        let mut about = ended.filter(|entry| is_about(&entry.to) || is_about(&entry.from));
        about.next().is_some_and(|last| last.kind == Kind::Rollback && is_about(&last.from))
    }
}
