//! Which release each instance executes: the links, and what the ledger says about them.

use std::collections::BTreeSet;
use std::time::Duration;

use names::Instance;

use super::{Cluster, Purpose};
use crate::effect::{Disk, Token};
use crate::release::ReleaseId;

/// The pause before a link that could not be set is set again.
const AGAIN: Duration = Duration::from_secs(10);

impl Cluster {
    /// The release for an instance outside a rollout: the one that its link is to be set to, or was, or is
    /// being, set to last.
    pub(super) fn release_for(&self, instance: Instance) -> Option<ReleaseId> {
        let linked = || self.links.get(&instance).or(self.release.as_ref());
        let pointed = || self.ledger.points_to(instance).or_else(linked);
        self.to_point.1.get(&instance).or_else(pointed).cloned()
    }

    /// Links this instance to this release, for new processes. The ledger is written before the link.
    pub(super) fn point(&mut self, instance: Instance, release: &ReleaseId, purpose: Purpose) -> Token {
        self.to_point.1.remove(&instance);
        let started = self.started_usec(instance);
        if self.ledger.point(instance, self.now.moment, started, release) {
            self.is_ledger_saved = false;
        }
        self.save_ledger();
        let token = self.disk(Disk::Point(instance, release.clone()), purpose);
        self.points.insert(instance, token);
        token
    }

    /// A link could not be set, and no start waited for it: a process that systemd starts would execute another
    /// release than it should. The orchestrator tries again, until the link is set to any release.
    pub(super) fn point_later(&mut self, instance: Instance, release: ReleaseId) {
        if !self.points.contains_key(&instance) && self.ledger.points_to(instance).is_some() {
            let at = self.in_time(AGAIN);
            self.to_point.0.get_or_insert(at);
            self.to_point.1.insert(instance, release);
        }
    }

    pub(super) fn point_if_due(&mut self) {
        if self.to_point.0.is_none_or(|at| at > self.now.moment) {
            return;
        }
        let (_, to_point) = std::mem::take(&mut self.to_point);
        for (instance, release) in to_point {
            self.point(instance, &release, Purpose::Point(instance, release.clone()));
        }
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
        self.to_point.1.retain(|instance, _| kept.contains(instance));
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
