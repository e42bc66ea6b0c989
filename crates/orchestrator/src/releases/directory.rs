//! Deployed directories, which are used in place. Checks that workers, which run as another user in another
//! sandbox, can use them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::{PROGRAM, ReleaseId, Releases, named_after_the_time, program};
use crate::disk;

/// The directories that our unit hides from this process (systemd.exec(5)), and that an operator may hide
/// from workers. ProtectHome= hides the first three, TemporaryFileSystem= the others.
pub(super) const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

impl Releases {
    /// Makes a release of a directory with a program `worker` in it. It is not copied.
    ///
    /// Without an id, the release gets the name of the directory. If that name is invalid or taken, it is
    /// named after the time. Fails if the id is taken, or if workers could not use the directory.
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

    /// Checks whether workers can execute `worker` in this directory. Returns the path without symbolic
    /// links.
    pub(super) fn check_directory(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        ensure!(dir.is_absolute(), "{} is not an absolute path", dir.display());
        let dir = self.check_path(dir)?;
        let own = fs::canonicalize(&self.state_dir).unwrap_or_else(|_| self.state_dir.clone());
        ensure!(
            !dir.starts_with(&own),
            "{} belongs to app-cluster itself; `app-cluster rollback` goes to an existing release",
            dir.display()
        );
        ensure!(dir.is_dir(), "{} is not a directory", dir.display());
        let program = self.check_path(&dir.join(PROGRAM))?;
        let metadata = program.metadata()?;
        ensure!(metadata.is_file(), "{} is not a file", program.display());
        ensure!(
            metadata.permissions().mode() & 0o005 == 0o005,
            "the user of the workers cannot execute {path}; `chmod a+rx {path}` allows it",
            path = program.display()
        );
        program::check(&program, &program.display().to_string(), &self.hidden)?;
        Ok(dir)
    }

    /// Checks whether workers can reach this path. Returns it without symbolic links.
    fn check_path(&self, path: &Path) -> anyhow::Result<PathBuf> {
        self.check_visible(path)?;
        self.check_open(path)?;
        let resolved =
            path.canonicalize().with_context(|| format!("failed to examine {}", path.display()))?;
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

    /// Checks, from the root down, whether all users can enter the directories of the path.
    fn check_open(&self, path: &Path) -> anyhow::Result<()> {
        let mut on_the_way: Vec<_> = path.ancestors().collect();
        on_the_way.reverse();
        for step in on_the_way {
            if let Ok(target) = fs::read_link(step) {
                // This check comes first, because this process cannot examine a hidden path.
                self.check_visible(&target)?;
            }
            let metadata =
                step.metadata().with_context(|| format!("failed to examine {}", step.display()))?;
            ensure!(
                !metadata.is_dir() || metadata.permissions().mode() & 0o001 != 0,
                "the user of the workers cannot enter {step}; `chmod o+x {step}` allows it",
                step = step.display()
            );
        }
        Ok(())
    }

    fn named_like(&self, dir: &Path) -> ReleaseId {
        let name = dir.file_name().and_then(|name| ReleaseId::new(name.to_str()?));
        name.filter(|id| self.is_free(id)).unwrap_or_else(|| self.next_free(named_after_the_time()))
    }
}
