//! The releases on disk, and the link that decides which of them a starting worker executes.
//!
//! ```text
//! /var/lib/app-cluster/current -> releases/1.2.0
//! /var/lib/app-cluster/releases/1.2.0/worker
//! ```
//!
//! A package replaces its own files under /usr/lib; they are copied here when a rollout begins. Whatever is
//! written is complete and on disk before it gets its name, so that a power cut leaves the old or the new.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The name of a release: that of its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReleaseId(String);

impl ReleaseId {
    /// A name that can stand as one component of a path: letters, digits and `.+~_-`, not beginning with a dot.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+~_-".contains(c);
        let fits = (1..=100).contains(&name.len()) && !name.starts_with('.') && name.chars().all(is_plain);
        fits.then(|| Self(name.to_owned()))
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The directory of releases, and the one that the package brings.
#[derive(Debug, Clone)]
pub(crate) struct Releases {
    state_dir: PathBuf,
    packaged: PathBuf,
}

/// The file that the units execute, in each release.
const PROGRAM: &str = "worker";
/// Stands in a release that a rollout gave up.
const REJECTED: &str = "rejected";

impl Releases {
    pub(crate) fn new(state_dir: PathBuf, packaged: PathBuf) -> Self {
        Self { state_dir, packaged }
    }

    /// The release that a worker started now executes; none before the first was made current.
    pub(crate) fn current(&self) -> Option<ReleaseId> {
        let target = fs::read_link(self.link()).ok()?;
        ReleaseId::new(target.file_name()?.to_str()?)
    }

    /// Makes what the package brings a release, if it is not the current one already.
    ///
    /// `None` means that there is nothing to do: the package brings nothing, or what it brings is current.
    pub(crate) fn stage_packaged(&self) -> anyhow::Result<Option<ReleaseId>> {
        let program = self.packaged.join(PROGRAM);
        if !program.exists() {
            return Ok(None);
        }
        let current = self.current();
        if let Some(current) = &current
            && same_content(&program, &self.program(current))?
        {
            return Ok(None);
        }
        let version = self.packaged_version()?;
        for attempt in 1.. {
            let id = if attempt == 1 { version.clone() } else { ReleaseId(format!("{version}.{attempt}")) };
            match self.program(&id) {
                existing if !existing.exists() => {
                    self.copy(&program, &id).with_context(|| format!("failed to copy release {id}"))?;
                    return Ok(Some(id));
                }
                existing if same_content(&program, &existing)? => return Ok(Some(id)),
                // The same version with other bytes: somebody builds without counting up.
                _ => {}
            }
        }
        bail!("no name is left for release {version}")
    }

    /// Makes this release the one that workers execute from now on.
    pub(crate) fn make_current(&self, id: &ReleaseId) -> anyhow::Result<()> {
        let next = self.state_dir.join(".current.next");
        let flip = || -> io::Result<()> {
            remove_if_there(&next)?;
            symlink(Path::new("releases").join(&id.0), &next)?;
            fs::rename(&next, self.link())?;
            sync_dir(&self.state_dir)
        };
        flip().with_context(|| format!("failed to make release {id} current in {}", self.state_dir.display()))
    }

    /// Notes that a rollout to this release was given up, so that the next boot does not start it everywhere.
    pub(crate) fn reject(&self, id: &ReleaseId) -> io::Result<()> {
        File::create(self.dir(id).join(REJECTED)).map(drop)
    }

    /// Takes the note back: a rollout to this release has succeeded.
    pub(crate) fn accept(&self, id: &ReleaseId) -> io::Result<()> {
        remove_if_there(&self.dir(id).join(REJECTED))
    }

    /// Whether a rollout to this release was given up.
    pub(crate) fn is_rejected(&self, id: &ReleaseId) -> bool {
        self.dir(id).join(REJECTED).exists()
    }

    /// Removes all releases but these, and what an interrupted copy left.
    pub(crate) fn prune(&self, keep: &[&ReleaseId]) -> io::Result<()> {
        for entry in fs::read_dir(self.state_dir.join("releases"))? {
            let entry = entry?;
            if !keep.iter().any(|id| entry.file_name() == id.0.as_str()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn packaged_version(&self) -> anyhow::Result<ReleaseId> {
        let path = self.packaged.join("VERSION");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        ReleaseId::new(text.trim())
            .with_context(|| format!("{}: `{}` cannot name a release", path.display(), text.trim()))
    }

    fn copy(&self, program: &Path, id: &ReleaseId) -> io::Result<()> {
        let staging = self.state_dir.join("releases").join(".staging");
        if staging.exists() {
            fs::remove_dir_all(&staging)?;
        }
        fs::create_dir_all(&staging)?;
        let copy = staging.join(PROGRAM);
        fs::copy(program, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        File::open(&copy)?.sync_all()?;
        sync_dir(&staging)?;
        fs::rename(&staging, self.dir(id))?;
        sync_dir(&self.state_dir.join("releases"))
    }

    fn link(&self) -> PathBuf {
        self.state_dir.join("current")
    }

    fn dir(&self, id: &ReleaseId) -> PathBuf {
        self.state_dir.join("releases").join(&id.0)
    }

    fn program(&self, id: &ReleaseId) -> PathBuf {
        self.dir(id).join(PROGRAM)
    }
}

fn same_content(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let open = |path: &Path| File::open(path).with_context(|| format!("failed to read {}", path.display()));
    if !other.exists() {
        return Ok(false);
    }
    let (one, other) = (open(one)?, open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let mut other = BufReader::new(other).bytes();
    for byte in BufReader::new(one).bytes() {
        if byte? != other.next().transpose()?.unwrap_or_default() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Disk {
        root: tempfile::TempDir,
        releases: Releases,
    }

    impl Disk {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let releases = Releases::new(root.path().join("lib"), root.path().join("pkg"));
            fs::create_dir_all(root.path().join("lib")).unwrap();
            Self { root, releases }
        }

        fn package(&self, version: &str, program: &str) {
            let dir = self.root.path().join("pkg");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("VERSION"), format!("{version}\n")).unwrap();
            fs::write(dir.join(PROGRAM), program).unwrap();
        }

        fn stage(&self) -> Option<String> {
            self.releases.stage_packaged().unwrap().map(|id| id.to_string())
        }
    }

    fn id(name: &str) -> ReleaseId {
        ReleaseId::new(name).unwrap()
    }

    #[test]
    fn a_package_becomes_a_release_once() {
        let disk = Disk::new();
        assert_eq!(disk.stage(), None, "no package, no release");
        disk.package("1.0.0", "old");
        assert_eq!(disk.stage().as_deref(), Some("1.0.0"));
        assert_eq!(disk.releases.current(), None, "staged is not current");
        disk.releases.make_current(&id("1.0.0")).unwrap();
        assert_eq!(disk.releases.current(), Some(id("1.0.0")));
        assert_eq!(disk.stage(), None);
        let program = disk.root.path().join("lib/current").join(PROGRAM);
        assert_eq!(fs::read_to_string(&program).unwrap(), "old");
        assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn the_same_version_with_other_bytes_is_another_release() {
        let disk = Disk::new();
        disk.package("1.0.0", "old");
        disk.stage();
        disk.releases.make_current(&id("1.0.0")).unwrap();
        disk.package("1.0.0", "new");
        assert_eq!(disk.stage().as_deref(), Some("1.0.0.2"));
        assert_eq!(disk.stage().as_deref(), Some("1.0.0.2"), "asking again changes nothing");
    }

    #[test]
    fn an_interrupted_copy_is_made_good() {
        let disk = Disk::new();
        disk.package("1.0.0", "whole");
        let staging = disk.root.path().join("lib/releases/.staging");
        fs::create_dir_all(&staging).unwrap();
        fs::write(staging.join(PROGRAM), "ha").unwrap();
        assert_eq!(disk.stage().as_deref(), Some("1.0.0"));
    }

    #[test]
    fn rejection_lasts_until_a_rollout_succeeds() {
        let disk = Disk::new();
        disk.package("2.0.0", "bad");
        disk.stage();
        disk.releases.reject(&id("2.0.0")).unwrap();
        assert!(disk.releases.is_rejected(&id("2.0.0")));
        disk.releases.accept(&id("2.0.0")).unwrap();
        assert!(!disk.releases.is_rejected(&id("2.0.0")));
    }

    #[test]
    fn pruning_keeps_what_it_is_told_to() {
        let disk = Disk::new();
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            disk.package(version, version);
            disk.stage();
        }
        disk.releases.prune(&[&id("1.1.0"), &id("1.2.0")]).unwrap();
        let mut left: Vec<_> = fs::read_dir(disk.root.path().join("lib/releases"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["1.1.0", "1.2.0"]);
    }

    #[test]
    fn a_version_that_is_no_name_is_refused() {
        let disk = Disk::new();
        disk.package("../../etc", "evil");
        let error = disk.releases.stage_packaged().unwrap_err().to_string();
        assert!(error.contains("cannot name a release"), "{error}");
    }
}
