//! The releases on disk, and the link to the current release of the cluster.
//!
//! ```text
//! /var/lib/app-cluster/current -> releases/1.2.0
//! /var/lib/app-cluster/releases/1.2.0/worker                a copy of the package's program,
//! /var/lib/app-cluster/releases/1.2.0/VERSION               and of its version
//! /var/lib/app-cluster/releases/1.2.0/.source               and which file it was
//! /var/lib/app-cluster/releases/20261122-114005/worker      a copy of a deployed file
//! /var/lib/app-cluster/releases/blog-7 -> /srv/blog-7       a deployed directory
//! /var/lib/app-cluster/releases/.1.2.0.rejected             the last rollout to 1.2.0 failed or was undone
//! ```
//!
//! A release is complete and durable before it gets its name. So after a power cut at any moment, `current`
//! points to a complete release. A name that begins with a dot is not a release. Only one caller may change
//! releases at a time.

mod binfmt;
mod directory;
mod elf;
mod keep;
mod program;
mod source;
mod stage;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use cluster::release::ReleaseId;

use crate::{clock, disk};
pub(crate) use stage::{Staged, taken};

/// The file in each release that the units execute.
const PROGRAM: &str = "worker";
/// The file with the package's version. It is beside the program, in the package and in a release made from
/// it.
const VERSION: &str = "VERSION";
/// The file that says of which file the program of a packaged release is a copy.
const SOURCE: &str = ".source";

/// The directory of releases, and the release that the package installs.
#[derive(Debug, Clone)]
pub(crate) struct Releases {
    state_dir: PathBuf,
    packaged: PathBuf,
    /// The directories that the units hide from workers.
    hidden: Vec<PathBuf>,
}

/// A release on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// Its name.
    pub(crate) id: ReleaseId,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// When it was added, by the clock of that time.
    pub(crate) added: SystemTime,
    /// The size of its program in bytes. Unknown for a directory.
    pub(crate) size: Option<u64>,
}

/// Where a release came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The package installed it.
    Package,
    /// It is a copy of a deployed file.
    File,
    /// It is this deployed directory, which is used in place.
    Directory(PathBuf),
}

impl Release {
    /// The deployed directory, if the release is one.
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

    /// The release that a worker started now would execute. `None` until a release is made current.
    pub(crate) fn current(&self) -> Option<ReleaseId> {
        let target = fs::read_link(self.link()).ok()?;
        ReleaseId::new(target.file_name()?.to_str()?)
    }

    /// Makes workers execute this release from now on. After an error nothing has changed.
    pub(crate) fn make_current(&self, id: &ReleaseId) -> anyhow::Result<()> {
        let before = fs::read_link(self.link());
        let flipped = disk::replace_link(&self.link(), &Path::new("releases").join(id.as_str()));
        if let (Err(_), Ok(before)) = (&flipped, before)
            && self.current().as_ref() == Some(id)
        {
            // The link is new but may not be durable. After an error, the caller must find the old link.
            let _ = disk::replace_link(&self.link(), &before);
        }
        flipped
            .with_context(|| format!("failed to make release {id} current in {}", self.state_dir.display()))
    }

    /// Whether a release of this name exists and was deployed, not installed by the package.
    pub(crate) fn is_deployed(&self, id: &ReleaseId) -> bool {
        self.release(id).is_some_and(|release| release.origin != Origin::Package)
    }

    /// Checks whether workers could execute this release now. A directory may have been removed, or its mode
    /// changed, since it was deployed.
    pub(crate) fn check_runnable(&self, id: &ReleaseId) -> anyhow::Result<()> {
        let release = self.release(id).with_context(|| format!("there is no release {id}"))?;
        let checked = match &release.origin {
            Origin::Directory(dir) => self.check_directory(dir).map(drop),
            Origin::Package | Origin::File => self.check_copy(&self.program(id)),
        };
        checked.with_context(|| format!("release {id} cannot run"))
    }

    /// Marks a release as rejected because a rollout to it failed or was undone. So the next boot does not
    /// start it on all workers.
    pub(crate) fn reject(&self, id: &ReleaseId) -> io::Result<()> {
        disk::create_mark(&self.rejected_mark(id))
    }

    /// Removes the mark, because a rollout to this release has succeeded.
    pub(crate) fn accept(&self, id: &ReleaseId) -> io::Result<()> {
        disk::remove(&self.rejected_mark(id))
    }

    /// Whether the last rollout to this release failed or was undone.
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
        let metadata = program.metadata().with_context(|| format!("failed to examine {name}"))?;
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

/// The default name of a release: the current time.
fn named_after_the_time() -> ReleaseId {
    ReleaseId::at(clock::since_epoch(SystemTime::now()))
}
