//! Changes to the disk that are atomic: after a power cut, a change is either complete or did not happen.
//!
//! These functions make the content durable (fsync(2)) before rename(2) gives it its name. They make the name
//! durable before anything relies on it. Everything that has to survive a power cut is changed only with
//! these functions.

#[cfg(test)]
pub(crate) mod faults;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

#[cfg(test)]
use faults::step;

/// Runs before each system call that changes the disk, so that tests can simulate a power cut there.
#[cfg(not(test))]
fn step(_what: &str, _path: &Path) -> io::Result<()> {
    Ok(())
}

/// Replaces a file, or creates it.
///
/// After an error the file has the old content. If only the last fsync(2) failed, it has the new content.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = beside(path);
    let written = write(&next, 0o644, &mut &content[..]).and_then(|_| rename(&next, path));
    if written.is_err() {
        // On a full disk, the leftover file would take the space that the next attempt needs.
        let _ = remove(&next);
    }
    written
}

/// Writes a file in a directory that does not have its final name yet, so nothing reads it. Returns the
/// number of bytes.
pub(crate) fn write(path: &Path, mode: u32, content: &mut dyn Read) -> io::Result<u64> {
    step("create", path)?;
    let mut file = File::options().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    step("write", path)?;
    let written = io::copy(content, &mut file)?;
    step("sync", path)?;
    file.sync_all()?;
    Ok(written)
}

/// Creates an empty file, which serves as a mark.
pub(crate) fn create_mark(path: &Path) -> io::Result<()> {
    step("create", path)?;
    File::create(path)?;
    sync_dir(parent(path))
}

/// Replaces a symbolic link, or creates it.
pub(crate) fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    let next = beside(link);
    remove(&next)?;
    step("link", &next)?;
    symlink(target, &next)?;
    rename(&next, link)
}

/// Creates a symbolic link under a free name. After an error there is no link.
pub(crate) fn create_link(link: &Path, target: &Path) -> io::Result<()> {
    step("link", link)?;
    symlink(target, link)?;
    let created = sync_dir(parent(link));
    if created.is_err() {
        let _ = remove(link);
    }
    created
}

/// Creates a directory that all users can enter, unless it exists.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    step("mkdir", path)?;
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    sync_dir(parent(path))
}

/// Renames a file or a directory within a file system.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step("rename", to)?;
    fs::rename(from, to)?;
    sync_dir(parent(to))
}

/// Removes a file or a symbolic link, if it exists.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    step("remove", path)?;
    fs::remove_file(path)
}

/// Removes a directory with its content, if it exists. It does not follow symbolic links in it.
///
/// A power cut may leave part of the directory. So use it only for a name under which no code expects a
/// complete directory.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    step("remove", path)?;
    fs::remove_dir_all(path)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    step("sync", dir)?;
    File::open(dir)?.sync_all()
}

/// The temporary name for the successor of a file: hidden, and on the same file system.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".next");
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
