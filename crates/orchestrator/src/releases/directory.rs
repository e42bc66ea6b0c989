//! A deployed directory is used where it is: what workers, another user in another sandbox, need to see of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};

use super::{PROGRAM, ReleaseId, Releases, program};
use crate::disk;

/// What our unit hides from us (systemd.exec(5)), and what people may hide from workers: ProtectHome= the first three,
/// TemporaryFileSystem= the others.
pub(super) const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

impl Releases {
    /// Makes a directory with a program `worker` in it a release. It is not copied.
    ///
    /// Without an id the release is called like the directory, or after the time if that cannot be or is taken.
    /// Refuses an id that is taken, and a directory that workers could not use.
    pub(crate) fn stage_directory(&self, dir: &Path, id: Option<ReleaseId>) -> anyhow::Result<ReleaseId> {
        let dir = self.check_directory(dir)?;
        let id = match id {
            Some(id) => self.ensure_free(id)?,
            None => self.named_like(&dir),
        };
        let linked = self.prepare_parent(&id).and_then(|()| Ok(disk::create_link(&self.dir(&id), &dir)?));
        linked.with_context(|| format!("failed to make release {id}"))?;
        Ok(id)
    }

    /// Whether workers can execute `worker` in this directory; returns the path without symbolic links.
    pub(super) fn check_directory(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        ensure!(dir.is_absolute(), "{} is not an absolute path", dir.display());
        let dir = self.check_path(dir)?;
        let own = fs::canonicalize(&self.state_dir).unwrap_or_else(|_| self.state_dir.clone());
        ensure!(
            !dir.starts_with(&own),
            "{} belongs to app-cluster itself; `app-cluster rollback` goes to a release that is there already",
            dir.display()
        );
        ensure!(dir.is_dir(), "{} is not a directory", dir.display());
        let program = self.check_path(&dir.join(PROGRAM))?;
        let metadata = program.metadata()?;
        ensure!(metadata.is_file(), "{} is not a file", program.display());
        ensure!(
            metadata.permissions().mode() & 0o005 == 0o005,
            "{path} is not executable for the user of the workers; `chmod a+rx {path}` makes it so",
            path = program.display()
        );
        program::check(&program, &program.display().to_string(), &self.hidden)?;
        Ok(dir)
    }

    /// Whether workers can reach this path; returns it without symbolic links.
    fn check_path(&self, path: &Path) -> anyhow::Result<PathBuf> {
        self.check_visible(path)?;
        self.check_open(path)?;
        let resolved =
            path.canonicalize().with_context(|| format!("failed to look at {}", path.display()))?;
        self.check_visible(&resolved)?;
        self.check_open(&resolved)?;
        Ok(resolved)
    }

    fn check_visible(&self, path: &Path) -> anyhow::Result<()> {
        match self.hidden.iter().find(|hidden| path.starts_with(hidden)) {
            Some(hidden) => bail!(
                "{} is below {}, which is hidden from the orchestrator; put it in /srv or /opt instead",
                path.display(),
                hidden.display()
            ),
            None => Ok(()),
        }
    }

    /// Whether everybody can enter the directories on the way, named from the top.
    fn check_open(&self, path: &Path) -> anyhow::Result<()> {
        let mut on_the_way: Vec<_> = path.ancestors().collect();
        on_the_way.reverse();
        for step in on_the_way {
            if let Ok(target) = fs::read_link(step) {
                // Here and now: what is hidden from us is not to be looked at.
                self.check_visible(&target)?;
            }
            let metadata =
                step.metadata().with_context(|| format!("failed to look at {}", step.display()))?;
            ensure!(
                !metadata.is_dir() || metadata.permissions().mode() & 0o001 != 0,
                "{step} is closed to the user of the workers; `chmod o+x {step}` opens it",
                step = step.display()
            );
        }
        Ok(())
    }

    fn named_like(&self, dir: &Path) -> ReleaseId {
        let name = dir.file_name().and_then(|name| ReleaseId::new(name.to_str()?));
        name.filter(|id| self.is_free(id)).unwrap_or_else(|| self.next_free(ReleaseId::at(SystemTime::now())))
    }
}
