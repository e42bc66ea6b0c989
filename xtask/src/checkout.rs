//! Checkouts that share a target directory, for `cargo xtask`; with plain cargo it is up to its user.
//!
//! cargo takes the packages of two checkouts for the same ones, and tells by the times of files what is up to date: with a
//! target directory that both use, one would be given what was built of the other.

use std::{
    env,
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

use crate::{fuzz, workspace::Workspace};

/// In the target directory: the checkout that it was used for last.
const MARK: &str = "checkout";

/// The target directory, while no other checkout may have it.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "it is held")] File);

/// Sees to it that all that is in the target directory was built of this checkout, and stays so. If it was not, that is
/// removed, and this program starts itself anew, for it was built of the other one too.
pub(crate) fn claim(workspace: &Workspace) -> Result<Claim> {
    let path = workspace.target.join(MARK);
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut mark = open.with_context(|| format!("failed to open {}", path.display()))?;
    let root = workspace.root.as_os_str().as_bytes();
    mark.lock_shared().context("failed to share the target directory")?;
    if read(&mut mark)? == root {
        return Ok(Claim(mark));
    }

    // flock(2): what is shared does not become exclusive without being given up.
    mark.unlock().context("failed to give up the target directory")?;
    if let Err(TryLockError::WouldBlock) = mark.try_lock() {
        eprintln!("xtask: waiting for another checkout to be done with {}", workspace.target.display());
        mark.lock().context("failed to take the target directory")?;
    }
    let is_ours = is_ours(&workspace.root, &read(&mut mark)?, Path::new(env!("CARGO_MANIFEST_DIR")));
    if !is_ours {
        eprintln!("xtask: {} is another checkout's, building anew", workspace.target.display());
        for profile in ["--profile=dev", "--profile=release"] {
            workspace.cargo().args(["clean", "--quiet", "--workspace", profile]).quiet().run()?;
        }
        fuzz::clean(workspace)?;
    }
    mark.set_len(0)?;
    mark.rewind()?;
    mark.write_all(root).with_context(|| format!("failed to write {}", path.display()))?;
    if is_ours {
        mark.lock_shared().context("failed to share the target directory")?;
        return Ok(Claim(mark));
    }
    start_anew(workspace)
}

fn read(mark: &mut File) -> Result<Vec<u8>> {
    let mut owner = Vec::new();
    mark.rewind()?;
    mark.read_to_end(&mut owner).context("failed to read whose the target directory is")?;
    Ok(owner)
}

/// Whether what is built is of this checkout, by the mark, or without one by where this program was compiled.
fn is_ours(root: &Path, marked: &[u8], compiled_in: &Path) -> bool {
    if marked.is_empty() { compiled_in.parent() == Some(root) } else { marked == root.as_os_str().as_bytes() }
}

/// The lock ends with this program.
fn start_anew(workspace: &Workspace) -> Result<Claim> {
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
        assert!(is_ours(ours, b"/src/a", other));
        assert!(!is_ours(ours, b"/src/b", Path::new("/src/a/xtask")));
        assert!(is_ours(ours, b"", Path::new("/src/a/xtask")));
        assert!(!is_ours(ours, b"", other));
    }
}
