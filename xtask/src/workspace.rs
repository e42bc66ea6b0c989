//! The source tree, its target directory, and cargo.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

/// The source tree that cargo was called in.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Runs commands in the top directory.
    pub(crate) shell: Shell,
    /// The top directory.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

/// The version in the root Cargo.toml.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Workspace {
    pub(crate) fn open() -> Result<Self> {
        // Not the path from compile time: checkouts that share a target directory share this program.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask lies in the workspace")?.to_owned();
        let shell = Shell::new()?;
        shell.change_dir(&root);
        Ok(Self { shell, root, target: machine::target_directory()? })
    }

    /// Cargo, run as the owner of the target directory.
    pub(crate) fn cargo(&self) -> Cmd<'_> {
        self.as_owner(cargo())
    }

    /// A program, run as the owner of the target directory. The owner must later be able to change files that
    /// are made through sudo.
    pub(crate) fn as_owner(&self, program: impl AsRef<OsStr>) -> Cmd<'_> {
        let program = program.as_ref();
        match self.person_behind_sudo() {
            None => cmd!(self.shell, "{program}"),
            Some((uid, gid)) => {
                cmd!(self.shell, "setpriv --reuid={uid} --regid={gid} --init-groups -- {program}")
            }
        }
    }

    /// A program, run as the current user: for tests that need root.
    pub(crate) fn as_root(&self, program: &Path) -> Cmd<'_> {
        cmd!(self.shell, "{program}")
    }

    /// The path of a program in the release profile.
    pub(crate) fn release(&self, program: &str) -> PathBuf {
        self.target.join("release").join(program)
    }

    fn person_behind_sudo(&self) -> Option<(String, String)> {
        let (uid, gid) = (env::var("SUDO_UID").ok()?, env::var("SUDO_GID").ok()?);
        let owner = fs::metadata(&self.target).ok()?.uid();
        (owner != 0 && owner.to_string() == uid).then_some((uid, gid))
    }
}

/// The cargo that runs this program, or the one in PATH.
fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
