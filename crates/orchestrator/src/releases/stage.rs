//! Making a release of what the package brings, and of a file that an administrator deploys.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};

use super::{Origin, PROGRAM, ReleaseId, Releases, VERSION, program};
use crate::disk;

/// Where a release is made, before it gets its name.
pub(super) const STAGING: &str = ".staging";

/// What became of a program that is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Staged {
    /// It is a release now.
    New(ReleaseId),
    /// There is a release of this name already, and it is a copy of the same file.
    There(ReleaseId),
}

impl Releases {
    /// Makes what the package brings a release, if it is not the current one already.
    ///
    /// `None` means that there is nothing to do: the package brings nothing, or what it brings is current, or what
    /// is current was deployed by an administrator, who does not want another program instead of it.
    pub(crate) fn stage_packaged(&self) -> anyhow::Result<Option<ReleaseId>> {
        let program = self.packaged.join(PROGRAM);
        if !program.exists() {
            return Ok(None);
        }
        if let Some(current) = self.current().and_then(|id| self.release(&id))
            && (current.origin != Origin::Package || self.is_packaged(&current.id)?)
        {
            return Ok(None);
        }
        let version = self.packaged_version()?;
        for number in 1.. {
            let id = if number == 1 { version.clone() } else { version.numbered(number) };
            if self.is_free(&id) {
                self.copy_packaged(&program, &id)?;
                return Ok(Some(id));
            }
            // Otherwise it is the same version with other bytes: it is built without counting up.
            if self.release(&id).is_some_and(|release| release.origin == Origin::Package)
                && self.is_packaged(&id)?
            {
                return Ok(Some(id));
            }
        }
        bail!("no name is left for release {version}")
    }

    /// Whether this release, which a package brought, is what the package brings now. A new version is another release
    /// even if its program is the same: after an upgrade people look for it in `app-cluster status`.
    fn is_packaged(&self, id: &ReleaseId) -> anyhow::Result<bool> {
        for file in [VERSION, PROGRAM] {
            if !same_content(&self.packaged.join(file), &self.dir(id).join(file))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes a copy of a program a release.
    ///
    /// `program` is a descriptor that the caller on the bus opened and may still use. Without an id the release is called
    /// after the time. Refuses an id that another program has, and what cannot be a program; after an error nothing is
    /// there that was not there before.
    pub(crate) fn stage_file(&self, program: &File, id: Option<ReleaseId>) -> anyhow::Result<Staged> {
        let id = match id {
            Some(id) if self.is_copy_of(&id, program) => return Ok(Staged::There(id)),
            Some(id) => self.ensure_free(id)?,
            None => self.next_free(ReleaseId::at(SystemTime::now())),
        };
        self.stage(&id, |staging| self.copy_program(program, &staging.join(PROGRAM)))?;
        Ok(Staged::New(id))
    }

    /// Whether this release was made of a file with the same content.
    fn is_copy_of(&self, id: &ReleaseId, program: &File) -> bool {
        let is_of_file = self.release(id).is_some_and(|release| release.origin == Origin::File);
        // What cannot be read is told when it is copied.
        is_of_file && is_same(program, &self.program(id)).unwrap_or(false)
    }

    /// The id, unless there is something of this name already.
    pub(super) fn ensure_free(&self, id: ReleaseId) -> anyhow::Result<ReleaseId> {
        ensure!(self.is_free(&id), "{}", taken(&id));
        Ok(id)
    }

    /// The id, or the first numbered one that is not taken.
    pub(crate) fn next_free(&self, id: ReleaseId) -> ReleaseId {
        if self.is_free(&id) {
            return id;
        }
        (2..).map(|number| id.numbered(number)).find(|id| self.is_free(id)).unwrap_or(id)
    }

    pub(super) fn is_free(&self, id: &ReleaseId) -> bool {
        self.dir(id).symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// What the package calls the release that it brings.
    ///
    /// # Errors
    /// When the package is not installed, or calls it what cannot name a release.
    pub(crate) fn packaged_version(&self) -> anyhow::Result<ReleaseId> {
        let path = self.packaged.join(VERSION);
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        ReleaseId::new(text.trim())
            .with_context(|| format!("{}: `{}` cannot name a release", path.display(), text.trim()))
    }

    fn copy_packaged(&self, program: &Path, id: &ReleaseId) -> anyhow::Result<()> {
        self.stage(id, |staging| {
            disk::write(&staging.join(PROGRAM), 0o755, &mut File::open(program)?)?;
            disk::write(&staging.join(VERSION), 0o644, &mut File::open(self.packaged.join(VERSION))?)?;
            Ok(())
        })
    }

    /// Copies what a descriptor shows, and finds out whether it can be executed where it is then.
    fn copy_program(&self, program: &File, to: &Path) -> anyhow::Result<()> {
        copy(program, to)?;
        program::check(to, "the file", &self.hidden)
    }

    /// Makes a directory, lets `fill` put a release into it, and gives it its name.
    fn stage(&self, id: &ReleaseId, fill: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let staging = self.parent().join(STAGING);
        let staged = self.prepare_parent(id).and_then(|()| {
            disk::remove_tree(&staging)?;
            disk::create_dir(&staging)?;
            fill(&staging)?;
            disk::sync_dir(&staging)?;
            Ok(disk::rename(&staging, &self.dir(id))?)
        });
        if staged.is_err() {
            // It has its name already if that could not be made durable; else there is nothing to take back.
            let _ = disk::rename(&self.dir(id), &staging);
            if let Err(error) = disk::remove_tree(&staging) {
                tracing::warn!(
                    "failed to remove {}: {error}; the next rollout tries again",
                    staging.display()
                );
            }
        }
        staged.with_context(|| format!("failed to make release {id} in {}", self.parent().display()))
    }

    /// Before a name is given: where it is given is there, and nothing is left of what had it before.
    pub(super) fn prepare_parent(&self, id: &ReleaseId) -> anyhow::Result<()> {
        disk::create_dir(&self.parent())?;
        Ok(self.accept(id)?)
    }
}

/// Why a release of this name cannot be made.
pub(crate) fn taken(id: &ReleaseId) -> String {
    format!("release {id} exists already; `app-cluster rollback {id}` goes to it, another id keeps both")
}

/// Copies what a descriptor shows.
fn copy(program: &File, to: &Path) -> anyhow::Result<()> {
    let before = program.metadata().context("failed to look at the file")?;
    ensure!(
        before.is_file(),
        "not a regular file; what can be deployed is a program, or a directory with one"
    );
    ensure!(before.len() > 0, "the file is empty; what can be deployed is a program");
    let mut content = FromStart { file: program, offset: 0 }.take(before.len());
    let copied = disk::write(to, 0o755, &mut content).context("failed to copy the file")?;
    let after = program.metadata().context("failed to look at the file")?;
    ensure!(
        copied == before.len() && after.len() == before.len() && after.modified()? == before.modified()?,
        "the file changed while it was copied; deploy it again when it is complete"
    );
    Ok(())
}

/// Reads a file from its beginning: where the descriptor stands is shared with the process that handed it over.
struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Whether a descriptor shows what is in this file.
fn is_same(one: &File, other: &Path) -> io::Result<bool> {
    let other = File::open(other)?;
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut piece, mut others) = (vec![0; 128 * 1024], vec![0; 128 * 1024]);
    let mut offset = 0;
    loop {
        let length = one.read_at(&mut piece, offset)?;
        let rest = other.read_at(&mut others[..length.max(1)], offset)?;
        if length == 0 || rest == 0 {
            return Ok(length == rest);
        }
        let both = length.min(rest);
        if piece[..both] != others[..both] {
            return Ok(false);
        }
        offset += both as u64;
    }
}

fn same_content(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let file = File::open(one).with_context(|| format!("failed to read {}", one.display()))?;
    is_same(&file, other).with_context(|| format!("failed to read {}", other.display()))
}
