//! Keeps checkouts apart that share a target directory. This covers `cargo xtask`; plain cargo is up to its
//! user.
//!
//! cargo treats the packages of two checkouts as the same ones, and decides by the times of files what is up
//! to date. So in a shared target directory, one checkout would get what was built from the other.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

use crate::{fuzz, workspace::Workspace};

/// The file in the target directory that names the checkout that used it last.
const MARK: &str = "checkout";

/// The target directory, reserved for this checkout.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "it is held")] OwnedFd);

/// Makes sure that everything in the target directory was built from this checkout, and that this stays so.
/// Otherwise it removes the contents and restarts this program, which was built from the other checkout too.
pub(crate) fn claim(workspace: &Workspace) -> Result<Claim> {
    let path = workspace.target.join(MARK);
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut mark = open.with_context(|| format!("failed to open {}", path.display()))?;
    let root = workspace.root.as_os_str().as_bytes();
    mark.lock_shared().context("failed to share the target directory")?;
    if read(&mut mark)? == root {
        return held(mark);
    }

    // flock(2) cannot turn a shared lock into an exclusive one without releasing it.
    mark.unlock().context("failed to give up the target directory")?;
    if let Err(TryLockError::WouldBlock) = mark.try_lock() {
        eprintln!("xtask: waiting for another checkout to be done with {}", workspace.target.display());
        mark.lock().context("failed to take the target directory")?;
    }
    let marked = read(&mut mark)?;
    let is_first = marked.is_empty() && has_built_only_this(&workspace.target, &workspace.root);
    if !is_first && marked != root {
        eprintln!("xtask: {} belongs to another checkout, rebuilding", workspace.target.display());
        for profile in ["--profile=dev", "--profile=release"] {
            workspace.cargo().args(["clean", "--quiet", "--workspace", profile]).quiet().run()?;
        }
        fuzz::clean(workspace)?;
    }
    mark.set_len(0)?;
    mark.rewind()?;
    mark.write_all(root).with_context(|| format!("failed to write {}", path.display()))?;
    if is_first {
        mark.lock_shared().context("failed to share the target directory")?;
        return held(mark);
    }
    // Also if another process of this checkout came first: this program was built while the directory
    // belonged to the other checkout.
    start_anew(workspace)
}

/// Child processes hold the claim too. So if this process is killed, no other checkout builds under running
/// tests.
fn held(mark: File) -> Result<Claim> {
    // Tests expect the low numbers for the descriptors that they pass on themselves.
    const HIGH: i32 = 100;
    let passed_on = rustix::io::fcntl_dupfd_cloexec(&mark, HIGH)?;
    rustix::io::fcntl_setfd(&passed_on, rustix::io::FdFlags::empty())
        .context("failed to pass the claim on")?;
    Ok(Claim(passed_on))
}

fn read(mark: &mut File) -> Result<Vec<u8>> {
    let mut owner = Vec::new();
    mark.rewind()?;
    mark.read_to_end(&mut owner).context("failed to read whose the target directory is")?;
    Ok(owner)
}

/// Whether a directory without a mark contains only this program, built in this checkout.
fn has_built_only_this(target: &Path, root: &Path) -> bool {
    /// This program does not depend on it, and every other build contains it.
    const OTHER: &str = "orchestrator-";
    let built = ["debug", "release"].map(|profile| fs::read_dir(target.join(profile).join(".fingerprint")));
    let mut packages = built.into_iter().flatten().flatten().flatten();
    Path::new(env!("CARGO_MANIFEST_DIR")).parent() == Some(root)
        && !packages.any(|package| package.file_name().as_bytes().starts_with(OTHER.as_bytes()))
}

/// The lock ends with this process, because the descriptor is not inherited yet.
fn start_anew(workspace: &Workspace) -> Result<Claim> {
    let mut cargo = Command::from(workspace.cargo());
    cargo.args(["run", "--quiet", "--package", "xtask", "--"]).args(env::args_os().skip(1));
    Err(cargo.exec()).context("failed to run cargo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_a_mark_is_ours_if_only_this_program_was_built_in_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let target = tempfile::tempdir().unwrap();
        let built = target.path().join("debug/.fingerprint");
        fs::create_dir_all(built.join("xtask-0123")).unwrap();
        assert!(has_built_only_this(target.path(), root));
        assert!(!has_built_only_this(target.path(), Path::new("/src/another")));
        fs::create_dir(built.join("orchestrator-0123")).unwrap();
        assert!(!has_built_only_this(target.path(), root));
    }
}
