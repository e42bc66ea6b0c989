//! Root trees on disk that machines start from. Each is made once. A machine holds a lock on its tree, so
//! that no other process removes it. The lock files are never removed: two processes must not lock different
//! ones.

use std::{
    env,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// A complete tree, which exists as long as this value. It is never written to.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    _held: File,
}

/// The suffix of a tree that is being made.
const PARTIAL: &str = ".partial";
/// The suffix of the lock file. The lock is exclusive to make or remove a tree, and shared to start from it.
const LOCK: &str = ".lock";

impl Tree {
    /// The tree with this name and recipe. If there is none, `make` fills it first. Then trees with the same
    /// name and another recipe are removed, unless another process holds them.
    pub(crate) fn of(name: &str, recipe: u64, make: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let directory = target_directory()?.join("machines");
        fs::create_dir_all(&directory).with_context(|| format!("failed to make {}", directory.display()))?;
        let path = directory.join(format!("{name}-{recipe:016x}"));
        let lock = lock_of(&path)?;
        let mut make = Some(make);
        loop {
            lock.lock_shared().context("failed to share the lock of a tree")?;
            if path.exists() {
                return Ok(Self { path, _held: lock });
            }
            // flock(2) cannot turn a shared lock into an exclusive one without releasing it.
            lock.unlock().context("failed to give up the lock of a tree")?;
            lock.lock().context("failed to take the lock of a tree")?;
            // Between the two locks another process may have made the tree, or removed one with an older
            // recipe. So look again.
            if !path.exists() {
                let make = make.take().with_context(|| format!("{} was removed at once", path.display()))?;
                remove_leftovers(&directory, name)?;
                let partial = beside(&path, PARTIAL);
                if partial.exists() {
                    remove(&partial)?;
                }
                make(&partial)?;
                fs::rename(&partial, &path).with_context(|| format!("failed to name {}", path.display()))?;
            }
        }
    }

    /// The path of the tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// `<tree>.lock` or `<tree>.partial`.
fn beside(tree: &Path, what: &str) -> PathBuf {
    let mut name = tree.as_os_str().to_owned();
    name.push(what);
    name.into()
}

fn lock_of(tree: &Path) -> Result<File> {
    let path = beside(tree, LOCK);
    File::create(&path).with_context(|| format!("failed to make {}", path.display()))
}

/// Removes the trees with this name that no process holds, and half-made ones.
fn remove_leftovers(directory: &Path, name: &str) -> Result<()> {
    let prefix = format!("{name}-");
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&prefix) || !path.is_dir() {
            continue;
        }
        let tree = directory.join(name.strip_suffix(PARTIAL).unwrap_or(&name));
        match lock_of(&tree)?.try_lock() {
            Ok(()) => remove(&path)?,
            // This includes our own, which is removed before it is made.
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("failed to try the lock of a tree"),
        }
    }
    Ok(())
}

fn remove(tree: &Path) -> Result<()> {
    fs::remove_dir_all(tree).with_context(|| format!("failed to remove {}", tree.display()))
}

/// The cargo target directory in which this program was built. It contains `CACHEDIR.TAG`, or
/// `.rustc_info.json` if it is older than cargo's first build.
///
/// # Errors
/// If this program is not in a target directory.
pub fn target_directory() -> Result<PathBuf> {
    let program = env::current_exe().context("failed to find this program's own path")?;
    let is_it = |directory: &&Path| {
        ["CACHEDIR.TAG", ".rustc_info.json"].iter().any(|name| directory.join(name).is_file())
    };
    let target = program.ancestors().find(is_it);
    ensure!(target.is_some(), "{} does not lie in a target directory of cargo", program.display());
    Ok(target.map(Path::to_owned).unwrap_or_default())
}
