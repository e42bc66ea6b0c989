//! Makes a release of the package's program, and of a file that an operator deploys.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use super::source::Source;
use super::{Origin, PROGRAM, ReleaseId, Releases, VERSION, named_after_the_time, program};
use crate::disk;

/// The name of a release while it is made.
pub(super) const STAGING: &str = ".staging";

/// The result of staging a deployed program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Staged {
    /// It is now a new release.
    New(ReleaseId),
    /// A release of this name already exists, and is a copy of the same file.
    There(ReleaseId),
}

impl Releases {
    /// Makes a release of the package's program, unless that already is the current release.
    ///
    /// `None` means that there is nothing to do: the package installs no program, or its program is current.
    /// Or an operator deployed the current release, and does not want it replaced. The current release is
    /// `current`, or else the one that the link names.
    pub(crate) fn stage_packaged(&self, current: Option<&ReleaseId>) -> anyhow::Result<Option<ReleaseId>> {
        let program = self.packaged.join(PROGRAM);
        if !program.exists() {
            return Ok(None);
        }
        if let Some(current) = current.cloned().or_else(|| self.current()).and_then(|id| self.release(&id))
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
            // Otherwise the package has the same version with other bytes, because a build did not increase
            // it.
            if self.release(&id).is_some_and(|release| release.origin == Origin::Package)
                && self.is_packaged(&id)?
            {
                return Ok(Some(id));
            }
        }
        bail!("no free name is left for release {version}")
    }

    /// Whether this release, which a package installed, equals what the package installs now. A new version
    /// is another release even if its program is the same, because after an upgrade people look for it in
    /// `app-cluster status`.
    fn is_packaged(&self, id: &ReleaseId) -> anyhow::Result<bool> {
        let is_version = same_content(&self.packaged.join(VERSION), &self.dir(id).join(VERSION))?;
        Ok(is_version && self.is_copy_of_packaged(id)?)
    }

    /// Makes a release of a copy of a program.
    ///
    /// `program` is a descriptor that the caller on the bus opened and may still use. Without an id, the
    /// release is named after the time. Fails if another program has the id, or if the file cannot be a
    /// program. After an error nothing has changed.
    pub(crate) fn stage_file(&self, program: &File, id: Option<ReleaseId>) -> anyhow::Result<Staged> {
        let id = match id {
            Some(id) if self.is_copy_of(&id, program) => return Ok(Staged::There(id)),
            Some(id) => self.ensure_free(id)?,
            None => self.next_free(named_after_the_time()),
        };
        self.stage(&id, |staging| self.copy_program(program, &staging.join(PROGRAM)))?;
        Ok(Staged::New(id))
    }

    /// Whether this release is a copy of a file with the same content.
    fn is_copy_of(&self, id: &ReleaseId, program: &File) -> bool {
        let is_of_file = self.release(id).is_some_and(|release| release.origin == Origin::File);
        // If the file cannot be read, copying it reports the error.
        is_of_file && is_same(program, &self.program(id)).unwrap_or(false)
    }

    /// The id, unless the name is taken.
    pub(super) fn ensure_free(&self, id: ReleaseId) -> anyhow::Result<ReleaseId> {
        ensure!(self.is_free(&id), "{}", taken(&id));
        Ok(id)
    }

    /// The id, or the first numbered variant that is free.
    pub(crate) fn next_free(&self, id: ReleaseId) -> ReleaseId {
        if self.is_free(&id) {
            return id;
        }
        (2..).map(|number| id.numbered(number)).find(|id| self.is_free(id)).unwrap_or(id)
    }

    pub(super) fn is_free(&self, id: &ReleaseId) -> bool {
        self.dir(id).symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The version of the release that the package installs.
    ///
    /// # Errors
    /// Fails if the package is not installed, or if its version cannot name a release.
    pub(crate) fn packaged_version(&self) -> anyhow::Result<ReleaseId> {
        let path = self.packaged.join(VERSION);
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        ReleaseId::new(text.trim())
            .with_context(|| format!("{}: `{}` cannot name a release", path.display(), text.trim()))
    }

    fn copy_packaged(&self, program: &Path, id: &ReleaseId) -> anyhow::Result<()> {
        self.stage(id, |staging| {
            let source = Source::of(program)?;
            disk::write(&staging.join(PROGRAM), 0o755, &mut File::open(program)?)?;
            disk::write(&staging.join(VERSION), 0o644, &mut File::open(self.packaged.join(VERSION))?)?;
            // If the file has changed meanwhile, the next reload compares the content.
            if Source::of(program)? == source {
                source.write(staging)?;
            }
            Ok(())
        })
    }

    /// Copies the file behind a descriptor, and checks whether the copy can be executed.
    fn copy_program(&self, program: &File, to: &Path) -> anyhow::Result<()> {
        copy(program, to)?;
        program::check(to, "the file", &self.hidden)
    }

    /// Makes a directory, lets `fill` put a release into it, and renames it to the release's name.
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
            // If only making the name durable failed, the directory already has it. Otherwise this rename
            // does nothing.
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

    /// Prepares for a new name: the parent directory exists, and no mark is left of an earlier release of
    /// this name.
    pub(super) fn prepare_parent(&self, id: &ReleaseId) -> anyhow::Result<()> {
        disk::create_dir(&self.parent())?;
        Ok(self.accept(id)?)
    }
}

/// The reason why a release of this name cannot be made.
pub(crate) fn taken(id: &ReleaseId) -> String {
    format!("release {id} exists already; `app-cluster rollback {id}` goes to it, and another id keeps both")
}

/// Copies the file behind a descriptor.
fn copy(program: &File, to: &Path) -> anyhow::Result<()> {
    let before = program.metadata().context("failed to examine the file")?;
    ensure!(before.is_file(), "it is not a regular file; deploy a program, or a directory with one");
    ensure!(before.len() > 0, "the file is empty; deploy a program");
    let mut content = FromStart { file: program, offset: 0 }.take(before.len());
    let copied = disk::write(to, 0o755, &mut content).context("failed to copy the file")?;
    let after = program.metadata().context("failed to examine the file")?;
    ensure!(
        copied == before.len() && after.len() == before.len() && after.modified()? == before.modified()?,
        "the file changed while it was copied; deploy it again when it is complete"
    );
    Ok(())
}

/// Reads a file from its beginning, without the descriptor's offset, which is shared with the process that
/// passed it.
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

/// Whether the file behind a descriptor has the same content as this file.
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

pub(super) fn same_content(one: &Path, other: &Path) -> anyhow::Result<bool> {
    let file = File::open(one).with_context(|| format!("failed to read {}", one.display()))?;
    is_same(&file, other).with_context(|| format!("failed to read {}", other.display()))
}
