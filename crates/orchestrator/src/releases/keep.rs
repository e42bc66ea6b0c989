//! Which releases there are, and which of them go.

use std::fs;
use std::io;

use rollout::lineage::{Lineage, OnDisk};

use super::stage::STAGING;
use super::{Release, ReleaseId, Releases};
use crate::disk;

/// Where a release goes to be removed: what is left of it after a power cut is none.
const REMOVED: &str = ".removed";

impl Releases {
    /// All releases, in the order in which they came here.
    pub(crate) fn list(&self) -> io::Result<Vec<Release>> {
        let ids = self.names()?.into_iter().filter_map(|name| ReleaseId::new(&name));
        let mut releases: Vec<_> = ids.filter_map(|id| self.release(&id)).collect();
        releases.sort_by(|a, b| (a.added, &a.id).cmp(&(b.added, &b.id)));
        Ok(releases)
    }

    /// Removes releases until `keep` are left, in the order of [`Lineage::surplus`], and what an interrupted change has left;
    /// returns the releases removed. The current one is in use, whatever is said.
    ///
    /// Of a deployed directory only our link to it goes.
    pub(crate) fn prune(
        &self,
        keep: usize,
        lineage: &Lineage<'_, ReleaseId>,
        in_use: &[&ReleaseId],
    ) -> io::Result<Vec<ReleaseId>> {
        self.remove_leftovers()?;
        let Some(current) = self.current() else {
            // Nobody knows then which of them is in use.
            return Ok(Vec::new());
        };
        let releases = self.list()?;
        let on_disk = |id| OnDisk {
            id,
            is_rejected: self.is_rejected(id),
            is_in_use: *id == current || in_use.contains(&id),
            is_usable: self.may_go_back_to(id),
        };
        let on_disk: Vec<_> = releases.iter().map(|release| on_disk(&release.id)).collect();
        let surplus = lineage.surplus(&on_disk, &current, keep);
        for id in &surplus {
            self.remove(id)?;
        }
        Ok(surplus.into_iter().cloned().collect())
    }

    /// Removes a release that is not in use. Of a deployed directory only our link to it goes.
    pub(crate) fn remove(&self, id: &ReleaseId) -> io::Result<()> {
        let dir = self.dir(id);
        if dir.is_symlink() {
            disk::remove(&dir)?;
        } else {
            let removed = self.parent().join(REMOVED);
            match disk::rename(&dir, &removed) {
                // A directory of a lower layer, as in the image of a container, has its name for good (overlayfs).
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => disk::remove_tree(&dir)?,
                renamed => renamed.and_then(|()| disk::remove_tree(&removed))?,
            }
        }
        // Not before: until the release is gone, it must not look like a good one.
        self.accept(id)?;
        disk::sync_dir(&self.parent())
    }

    /// Removes this release, and gives its name to that one.
    pub(crate) fn replace(&self, id: &ReleaseId, by: &ReleaseId) -> io::Result<()> {
        self.remove(id)?;
        disk::rename(&self.dir(by), &self.dir(id))
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        disk::remove_tree(&self.parent().join(STAGING))?;
        disk::remove_tree(&self.parent().join(REMOVED))?;
        for name in self.names()? {
            let marked = name.strip_prefix('.').and_then(|name| name.strip_suffix(".rejected"));
            if let Some(id) = marked.and_then(ReleaseId::new)
                && self.is_free(&id)
            {
                self.accept(&id)?;
            }
        }
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.parent()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}
