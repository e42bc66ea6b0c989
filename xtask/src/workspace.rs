//! The source tree, its target directory, and cargo.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

/// The source tree that this program was built from.
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
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.parent().context("xtask lies in the workspace")?.to_owned();
        let shell = Shell::new()?;
        shell.change_dir(&root);
        Ok(Self { shell, root, target: machine::target_directory()? })
    }

    /// Cargo, as the person who owns the target directory: what is built on the way through sudo must
    /// not lock that person out afterwards.
    pub(crate) fn cargo(&self) -> Cmd<'_> {
        let cargo = cargo();
        match self.person_behind_sudo() {
            None => cmd!(self.shell, "{cargo}"),
            Some((uid, gid)) => {
                cmd!(self.shell, "setpriv --reuid={uid} --regid={gid} --init-groups -- {cargo}")
            }
        }
    }

    /// Cargo as whoever runs this: for tests that need root.
    pub(crate) fn cargo_as_root(&self) -> Cmd<'_> {
        let cargo = cargo();
        cmd!(self.shell, "{cargo}")
    }

    /// A program of the release profile.
    pub(crate) fn release(&self, program: &str) -> PathBuf {
        self.target.join("release").join(program)
    }

    fn person_behind_sudo(&self) -> Option<(String, String)> {
        let (uid, gid) = (env::var("SUDO_UID").ok()?, env::var("SUDO_GID").ok()?);
        let owner = fs::metadata(&self.target).ok()?.uid();
        (owner != 0 && owner.to_string() == uid).then_some((uid, gid))
    }
}

/// The cargo that runs this program, else the one in PATH.
fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
