//! Which releases are removed.

use cluster::history::Kind;
use cluster::release::ReleaseId;

use crate::world::World;

impl World {
    /// Checks releases before they are removed.
    pub(crate) fn watch_removal(&mut self, ids: &[ReleaseId]) {
        for id in ids {
            let Some(at) = self.disk.find(id) else { continue };
            if let Some(why) = self.needs(at) {
                return self
                    .violate("what is needed stays on disk", || format!("{id} is removed, and {why}"));
            }
        }
    }

    /// Why this release is needed, if it is.
    fn needs(&self, at: usize) -> Option<&'static str> {
        let rolled = self.books.rolled.as_ref();
        let is_rolled = rolled.is_some_and(|rolled| [rolled.from, rolled.to].contains(&Some(at)));
        // The orchestrator may not have heard yet of a process that another client has started.
        let executes = |(worker, service): (u32, &crate::systemd::Service)| {
            let is_known = self.is_as_heard(worker) && !self.disk.has_lost();
            service.is_active() && service.release == Some(at) && is_known
        };
        let is_ordered = self.people.orders().any(|ordered| ordered == at);
        let release = &self.disk.releases[at];
        let is_good = release.is_runnable && !release.is_rejected && !self.disk.has_lost();
        match () {
            () if self.disk.current == Some(at) && !self.disk.has_lost() => Some("it is current"),
            () if is_rolled => Some("the rollout under way is about it"),
            () if is_ordered => Some("a rollout to it waits"),
            () if self.systemd.services().any(executes) => Some("a worker runs it"),
            () if is_good && self.way_back() == Some(at) => Some("it is the one to go back to"),
            () => None,
        }
    }

    /// The release that ran before the current one, if a rollout brought the current one. After a way back
    /// the law does not apply.
    pub(super) fn way_back(&self) -> Option<usize> {
        let done = self.books.last_done.as_ref()?;
        let is_forward = matches!(done.kind, Kind::Deploy | Kind::Package);
        (is_forward && self.disk.current == Some(done.to)).then_some(done.from)
    }
}
