//! The releases on disk, and the link that decides which of them a starting worker executes.
//!
//! ```text
//! /var/lib/app-cluster/current -> releases/1.2.0
//! /var/lib/app-cluster/releases/1.2.0/worker                a copy of what the package brought,
//! /var/lib/app-cluster/releases/1.2.0/VERSION               and of what it says about it
//! /var/lib/app-cluster/releases/20261122-114005/worker      a copy of a file that somebody deployed
//! /var/lib/app-cluster/releases/blog-7 -> /srv/blog-7       a directory that somebody deployed
//! /var/lib/app-cluster/releases/.1.2.0.rejected             a rollout to 1.2.0 was given up
//! ```
//!
//! Whatever gets a name here is complete and durable before, so that a power cut at any instant leaves `current`
//! pointing to a whole release. Names that begin with a dot are no releases. One caller at a time changes things.

mod binfmt;
mod directory;
mod elf;
mod id;
mod keep;
mod program;
mod stage;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, ensure};

use crate::disk;
pub(crate) use id::ReleaseId;
pub(crate) use stage::{Staged, taken};

/// The file that the units execute, in each release.
const PROGRAM: &str = "worker";
/// Beside the program, in the package and in a release that was made from it: what the package calls it.
const VERSION: &str = "VERSION";

/// The directory of releases, and the one that the package brings.
#[derive(Debug, Clone)]
pub(crate) struct Releases {
    state_dir: PathBuf,
    packaged: PathBuf,
    /// What the units hide from workers.
    hidden: Vec<PathBuf>,
}

/// A release on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// Its name.
    pub(crate) id: ReleaseId,
    /// How it came here.
    pub(crate) origin: Origin,
    /// When it came here, by the clock of that time.
    pub(crate) added: SystemTime,
    /// The bytes that its program takes; unknown for a directory.
    pub(crate) size: Option<u64>,
}

/// How a release came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The package brought it.
    Package,
    /// Somebody deployed a file, and this is a copy of it.
    File,
    /// Somebody deployed this directory, and it is used where it is.
    Directory(PathBuf),
}

impl Release {
    /// The directory that it is, if somebody deployed one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Directory(dir) => Some(dir),
            Origin::Package | Origin::File => None,
        }
    }
}

impl Releases {
    pub(crate) fn new(state_dir: PathBuf, packaged: PathBuf) -> Self {
        let hidden = directory::HIDDEN.iter().map(PathBuf::from).collect();
        Self { state_dir, packaged, hidden }
    }

    /// The release that a worker started now executes; none before the first was made current.
    pub(crate) fn current(&self) -> Option<ReleaseId> {
        let target = fs::read_link(self.link()).ok()?;
        ReleaseId::new(target.file_name()?.to_str()?)
    }

    /// Makes this release the one that workers execute from now on, or changes nothing.
    pub(crate) fn make_current(&self, id: &ReleaseId) -> anyhow::Result<()> {
        let before = fs::read_link(self.link());
        let flipped = disk::replace_link(&self.link(), &Path::new("releases").join(id.as_str()));
        if let (Err(_), Ok(before)) = (&flipped, before)
            && self.current().as_ref() == Some(id)
        {
            // The link is new but may not be durable. Whoever is told of a failure must find the old one.
            let _ = disk::replace_link(&self.link(), &before);
        }
        flipped
            .with_context(|| format!("failed to make release {id} current in {}", self.state_dir.display()))
    }

    /// Whether a rollback without a name may go to it.
    pub(crate) fn may_go_back_to(&self, id: &ReleaseId) -> bool {
        self.check_runnable(id).is_ok() && !self.is_rejected(id)
    }

    /// Whether a release of this name was deployed, and not brought by the package.
    pub(crate) fn is_deployed(&self, id: &ReleaseId) -> bool {
        self.release(id).is_some_and(|release| release.origin != Origin::Package)
    }

    /// Whether workers could execute this release now: a directory may have been removed or closed since it was
    /// deployed.
    pub(crate) fn check_runnable(&self, id: &ReleaseId) -> anyhow::Result<()> {
        let release = self.release(id).with_context(|| format!("there is no release {id}"))?;
        let checked = match &release.origin {
            Origin::Directory(dir) => self.check_directory(dir).map(drop),
            Origin::Package | Origin::File => self.check_copy(&self.program(id)),
        };
        checked.with_context(|| format!("release {id} cannot run"))
    }

    /// Notes that a rollout to this release was given up, so that the next boot does not start it everywhere.
    pub(crate) fn reject(&self, id: &ReleaseId) -> io::Result<()> {
        disk::create_mark(&self.rejected_mark(id))
    }

    /// Takes the note back: a rollout to this release has succeeded.
    pub(crate) fn accept(&self, id: &ReleaseId) -> io::Result<()> {
        disk::remove(&self.rejected_mark(id))
    }

    /// Whether a rollout to this release was given up.
    pub(crate) fn is_rejected(&self, id: &ReleaseId) -> bool {
        self.rejected_mark(id).exists()
    }

    /// The release of this name, if there is one.
    fn release(&self, id: &ReleaseId) -> Option<Release> {
        let dir = self.dir(id);
        let metadata = dir.symlink_metadata().ok()?;
        let (origin, size) = if metadata.is_symlink() {
            (Origin::Directory(fs::read_link(&dir).ok()?), None)
        } else {
            let program = self.program(id).symlink_metadata().ok()?;
            let is_packaged = dir.join(VERSION).exists();
            (if is_packaged { Origin::Package } else { Origin::File }, Some(program.len()))
        };
        Some(Release { id: id.clone(), origin, added: metadata.modified().ok()?, size })
    }

    fn check_copy(&self, program: &Path) -> anyhow::Result<()> {
        let name = program.display();
        let metadata = program.metadata().with_context(|| format!("failed to look at {name}"))?;
        let is_executable = metadata.permissions().mode() & 0o001 != 0;
        ensure!(metadata.is_file() && is_executable, "{name} is not an executable file");
        program::check(program, &name.to_string(), &self.hidden)
    }

    fn link(&self) -> PathBuf {
        self.state_dir.join("current")
    }

    fn parent(&self) -> PathBuf {
        self.state_dir.join("releases")
    }

    fn dir(&self, id: &ReleaseId) -> PathBuf {
        self.parent().join(id.as_str())
    }

    fn program(&self, id: &ReleaseId) -> PathBuf {
        self.dir(id).join(PROGRAM)
    }

    fn rejected_mark(&self, id: &ReleaseId) -> PathBuf {
        self.parent().join(format!(".{id}.rejected"))
    }
}
