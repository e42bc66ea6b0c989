//! Changes to the disk that a power cut leaves done or not done, never half.
//!
//! What is written becomes durable (fsync(2)) before rename(2) gives it its name, and the name becomes durable
//! before anybody relies on it. Whoever changes what has to survive a power cut does it with these functions.

#[cfg(test)]
pub(crate) mod faults;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

#[cfg(test)]
use faults::step;

/// Stands before each system call that changes the disk, so that tests can let the power fail there.
#[cfg(not(test))]
fn step(_what: &str, _path: &Path) -> io::Result<()> {
    Ok(())
}

/// Replaces a file, or creates it.
///
/// After an error the old content is there; the new one, when only the last fsync(2) failed.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let next = beside(path);
    let written = write(&next, 0o644, &mut &content[..]).and_then(|_| rename(&next, path));
    if written.is_err() {
        // On a full disk it would be in its own way.
        let _ = remove(&next);
    }
    written
}

/// Writes a file that nobody reads before its directory gets its name; returns the count of bytes.
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

/// Creates an empty file whose being there is all it says.
pub(crate) fn create_mark(path: &Path) -> io::Result<()> {
    step("create", path)?;
    File::create(path)?;
    sync_dir(parent(path))
}

/// Makes a symbolic link point elsewhere, or creates it.
pub(crate) fn replace_link(link: &Path, target: &Path) -> io::Result<()> {
    let next = beside(link);
    remove(&next)?;
    step("link", &next)?;
    symlink(target, &next)?;
    rename(&next, link)
}

/// Creates a symbolic link where nothing is yet. After an error there is none.
pub(crate) fn create_link(link: &Path, target: &Path) -> io::Result<()> {
    step("link", link)?;
    symlink(target, link)?;
    let created = sync_dir(parent(link));
    if created.is_err() {
        let _ = remove(link);
    }
    created
}

/// Creates a directory that everybody can enter; one that is there is as good.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    step("mkdir", path)?;
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    sync_dir(parent(path))
}

/// Gives a file or a directory another name on the same file system.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    step("rename", to)?;
    fs::rename(from, to)?;
    sync_dir(parent(to))
}

/// Removes a file or a symbolic link; one that is not there is as good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    step("remove", path)?;
    fs::remove_file(path)
}

/// Removes a directory and what is in it, not what links in it point to; one that is not there is as good.
///
/// A power cut may leave part of it, so its name has to be one under which nobody looks for something whole.
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

/// Where the successor of a file is made: on the same file system, and hidden.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".next");
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
