//! Which release each instance executes: the links, and what the ledger says about them.

use std::collections::BTreeSet;

use names::Instance;

use super::{Cluster, Purpose};
use crate::effect::{Disk, Token};
use crate::release::ReleaseId;

impl Cluster {
    /// The release for an instance outside a rollout: the one that its link was, or is being, set to last.
    pub(super) fn release_for(&self, instance: Instance) -> Option<ReleaseId> {
        let linked = || self.links.get(&instance).or(self.release.as_ref());
        self.ledger.points_to(instance).or_else(linked).cloned()
    }

    /// Links this instance to this release, for new processes. The ledger is written before the link.
    pub(super) fn point(&mut self, instance: Instance, release: &ReleaseId, purpose: Purpose) -> Token {
        let started = self.started_usec(instance);
        if self.ledger.point(instance, self.now.moment, started, release) {
            self.is_ledger_saved = false;
        }
        self.save_ledger();
        let token = self.disk(Disk::Point(instance, release.clone()), purpose);
        self.points.insert(instance, token);
        token
    }

    fn started_usec(&self, instance: Instance) -> u64 {
        self.workers.get(&instance).map_or(u64::MAX, |worker| worker.info.started_usec)
    }

    /// Notes that the link names this release, or is unchanged, also if there is none. The link of an instance
    /// that is no longer wanted stays removed. A later request for the link takes effect later.
    pub(super) fn is_linked(&mut self, instance: Instance, release: ReleaseId, token: Token, is_done: bool) {
        if self.ledger.points_to(instance).is_none() {
            return;
        }
        if is_done {
            self.links.insert(instance, release);
        }
        if self.points.get(&instance) != Some(&token) {
            return;
        }
        self.points.remove(&instance);
        let is_other = match self.links.get(&instance) {
            Some(release) => self.ledger.is_linked(instance, self.now.moment, release),
            None => self.ledger.is_not_linked(instance),
        };
        self.is_ledger_saved &= !is_other;
    }

    /// Removes links of instances that are neither known nor wanted, so none starts on an old release.
    pub(super) fn forget_links(&mut self) {
        let wanted = Instance::first(self.settings.workers);
        let kept: BTreeSet<_> = self.workers.keys().copied().chain(wanted).collect();
        self.links.retain(|instance, _| kept.contains(instance));
        self.ledger.retain(&kept);
        self.is_ledger_saved = false;
        self.unlink_all_but(kept);
    }

    pub(super) fn unlink_all_but(&mut self, kept: BTreeSet<Instance>) {
        self.disk(
            Disk::Unlink(kept),
            Purpose::Warn("instances that are not wanted could run an old release"),
        );
    }
}
