//! Checkouts that share a target directory.
//!
//! cargo takes the packages of two checkouts for the same ones, and tells by the times of files what is up to date: with a
//! target directory that both use, one would be given what was built of the other.

use std::{
    env, fs, io,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

use crate::{fuzz, workspace::Workspace};

/// In the target directory: the checkout that it was used for last.
const MARK: &str = "checkout";

/// Sees to it that all that is in the target directory was built of this checkout. If it was not, that is removed, and this
/// program starts itself anew, for it was built of the other one too.
pub(crate) fn claim(workspace: &Workspace) -> Result<()> {
    let mark = workspace.target.join(MARK);
    let marked = match fs::read(&mark) {
        Ok(marked) => Some(marked),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", mark.display())),
    };
    let is_ours = is_ours(&workspace.root, marked.as_deref(), Path::new(env!("CARGO_MANIFEST_DIR")));
    if !is_ours {
        eprintln!("xtask: {} is another checkout's, building anew", workspace.target.display());
        for profile in ["--profile=dev", "--profile=release"] {
            workspace.cargo().args(["clean", "--quiet", "--workspace", profile]).quiet().run()?;
        }
        fuzz::clean(workspace)?;
    }
    if marked.as_deref() != Some(workspace.root.as_os_str().as_bytes()) {
        fs::write(&mark, workspace.root.as_os_str().as_bytes())
            .with_context(|| format!("failed to write {}", mark.display()))?;
    }
    if is_ours { Ok(()) } else { start_anew(workspace) }
}

/// Whether what is built is of this checkout, by the mark, or without one by where this program was compiled.
fn is_ours(root: &Path, marked: Option<&[u8]>, compiled_in: &Path) -> bool {
    match marked {
        Some(marked) => marked == root.as_os_str().as_bytes(),
        None => compiled_in.parent() == Some(root),
    }
}

fn start_anew(workspace: &Workspace) -> Result<()> {
    let mut cargo = Command::from(workspace.cargo());
    cargo.args(["run", "--quiet", "--package", "xtask", "--"]).args(env::args_os().skip(1));
    Err(cargo.exec()).context("failed to run cargo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_belongs_to_the_checkout_that_was_here_last() {
        let (ours, other) = (Path::new("/src/a"), Path::new("/src/b/xtask"));
        assert!(is_ours(ours, Some(b"/src/a"), other));
        assert!(!is_ours(ours, Some(b"/src/b"), Path::new("/src/a/xtask")));
        assert!(is_ours(ours, None, Path::new("/src/a/xtask")));
        assert!(!is_ours(ours, None, other));
    }
}
