//! Which file a release was copied from, so that a reload that changes nothing does not read it again.
//!
//! A worker may be hundreds of megabytes large. dpkg replaces a file by another one, and every change of a
//! file changes its ctime (inode(7)).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::stage::same_content;
use super::{PROGRAM, ReleaseId, Releases, SOURCE};
use crate::disk;

/// A file at one moment: inode, size, and the times of its last changes. The number of the device is left out,
/// because it may be another one after a boot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source(String);

impl Source {
    /// The package's program as it is now.
    pub(super) fn of(program: &Path) -> io::Result<Self> {
        let file = fs::metadata(program)?;
        let modified = (file.mtime(), file.mtime_nsec());
        let changed = (file.ctime(), file.ctime_nsec());
        Ok(Self(format!("{} {} {modified:?} {changed:?}\n", file.ino(), file.size())))
    }

    /// Notes this source in the directory of a release that is being made.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        disk::write(&dir.join(SOURCE), 0o644, &mut self.0.as_bytes()).map(drop)
    }
}

impl Releases {
    /// Whether this release is a copy of the package's program as it is now. The content is compared only if
    /// the file is not the one that was copied.
    pub(super) fn is_copy_of_packaged(&self, id: &ReleaseId) -> anyhow::Result<bool> {
        let (program, dir) = (self.packaged.join(PROGRAM), self.dir(id));
        let now = Source::of(&program)?;
        let is_noted = fs::read_to_string(dir.join(SOURCE)).is_ok_and(|noted| noted == now.0);
        Ok(is_noted || same_content(&program, &dir.join(PROGRAM))?)
    }
}
