//! Trees of files.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Sets the modes that Debian uses, independent of the umask of the checkout.
pub(crate) fn set_modes(root: &Path) -> Result<()> {
    for path in walk(root)? {
        let metadata = path.metadata()?;
        let executable = metadata.is_dir() || metadata.permissions().mode() & 0o100 != 0;
        fs::set_permissions(&path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}

/// Copies the files below `from`, with their modes, to the same places below `to`.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(&file, &target).with_context(|| format!("failed to copy {}", file.display()))?;
    }
    Ok(())
}

/// All files below `directory`, sorted by name.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(walk(directory)?.into_iter().filter(|path| path.is_file()).collect())
}

/// `path` and, if it is a directory, everything below it, sorted by name.
fn walk(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).with_context(|| format!("failed to list {}", path.display()))?;
        let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        entries.sort();
        for entry in entries {
            found.extend(walk(&entry)?);
        }
    }
    Ok(found)
}
