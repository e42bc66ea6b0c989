//! Lists and removes releases.

use std::fs;
use std::io;

use super::stage::STAGING;
use super::{Release, ReleaseId, Releases};
use crate::disk;

/// The name of a release while it is removed. If a power cut leaves a part of it, this name is not a release.
const REMOVED: &str = ".removed";

impl Releases {
    /// All releases, in the order in which they were added.
    pub(crate) fn list(&self) -> io::Result<Vec<Release>> {
        let ids = self.names()?.into_iter().filter_map(|name| ReleaseId::new(&name));
        let mut releases: Vec<_> = ids.filter_map(|id| self.release(&id)).collect();
        releases.sort_by(|a, b| (a.added, &a.id).cmp(&(b.added, &b.id)));
        Ok(releases)
    }

    /// Removes these releases, and leftovers of interrupted changes. It never removes the current release.
    ///
    /// For a deployed directory, it removes only the link to it.
    pub(crate) fn remove_all(&self, ids: &[ReleaseId]) -> io::Result<()> {
        self.remove_leftovers()?;
        let current = self.current();
        for id in ids.iter().filter(|id| Some(*id) != current.as_ref() && !self.is_free(id)) {
            self.remove(id)?;
        }
        Ok(())
    }

    /// Removes a release that is not in use. For a deployed directory, it removes only the link to it.
    pub(crate) fn remove(&self, id: &ReleaseId) -> io::Result<()> {
        let dir = self.dir(id);
        if dir.is_symlink() {
            disk::remove(&dir)?;
        } else {
            let removed = self.parent().join(REMOVED);
            match disk::rename(&dir, &removed) {
                // On overlayfs, a directory of a lower layer cannot be renamed, as in the image of a
                // container.
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => disk::remove_tree(&dir)?,
                renamed => renamed.and_then(|()| disk::remove_tree(&removed))?,
            }
        }
        // The mark goes last: until the release is removed, it must not look like a good one.
        self.accept(id)?;
        disk::sync_dir(&self.parent())
    }

    /// Removes the release `id`, and gives its name to the release `by`.
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
