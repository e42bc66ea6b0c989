//! Finds configuration files in several directories by systemd's rules: `systemd.conf(5)` and
//! `systemd.unit(5)`.
//!
//! The caller lists the directories in order of precedence, highest first. The main file is the first one
//! that exists. The drop-ins of all directories are read in the order of their file names. If two drop-ins
//! have the same name, only the one in the directory of higher precedence counts. So an empty file, or a
//! symbolic link to `/dev/null`, *masks* files of the same name in the directories of lower precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::problem::{Position, Problem};

/// The file `name` in the first of `directories` that has it, masked or not.
pub fn first(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    // A broken link is not absent: reading it reports the error.
    directories.iter().map(|dir| dir.join(name)).find(|path| fs::symlink_metadata(path).is_ok())
}

/// The drop-ins in `directories` whose names end in `.extension`, in the order in which they are read. Hidden
/// files do not count, because an editor keeps one there while a file is open (`.#50.toml`).
///
/// The problems are the directories that exist but cannot be listed.
pub fn list(directories: &[PathBuf], extension: &str) -> (Vec<PathBuf>, Vec<Problem>) {
    let mut by_name = BTreeMap::new();
    let mut problems = Vec::new();
    for directory in directories {
        match names(directory) {
            Ok(names) => {
                let is_drop_in = |name: &OsString| {
                    let is_hidden = name.as_encoded_bytes().starts_with(b".");
                    !is_hidden && Path::new(name).extension().is_some_and(|its| its == extension)
                };
                for name in names.into_iter().filter(is_drop_in) {
                    by_name.entry(name.clone()).or_insert_with(|| directory.join(name));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                problems.push(Problem::of_file(directory, format!("cannot list the directory: {error}")))
            }
        }
    }
    (by_name.into_values().collect(), problems)
}

fn names(directory: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
}

/// Whether `path` is a symbolic link that leads to `/dev/null`.
pub fn is_masked(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|target| target == Path::new("/dev/null"))
}

/// The text of `path`, or nothing if it is [masked](is_masked).
///
/// # Errors
///
/// Fails if `path` is not a regular file, is not readable, or is not UTF-8. The problem says what to do, and
/// for UTF-8 it has the position.
pub fn read(path: &Path) -> Result<Option<String>, Problem> {
    if is_masked(path) {
        return Ok(None);
    }
    let cannot_read = |error: io::Error| Problem::of_file(path, format!("cannot read the file: {error}"));
    let kind = fs::metadata(path).map_err(cannot_read)?.file_type();
    if !kind.is_file() {
        // Opening a FIFO would wait for a writer forever.
        let what = if kind.is_dir() { "is a directory" } else { "is not a regular file" };
        return Err(Problem::of_file(path, what).with_help("put a file in its place, or remove it"));
    }
    let bytes = fs::read(path).map_err(cannot_read)?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        Problem::of_file(path, "not UTF-8 from here on")
            .at(Position::after(&valid))
            .with_help("save the file as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn two() -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let directories = vec![root.path().join("etc"), root.path().join("usr")];
        for directory in &directories {
            fs::create_dir(directory).unwrap();
        }
        (root, directories)
    }

    fn listed(directories: &[PathBuf]) -> Vec<String> {
        let (files, problems) = list(directories, "toml");
        assert_eq!(problems, []);
        let root = directories[0].parent().unwrap();
        files.iter().map(|f| f.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn drop_ins_are_ordered_by_name_over_all_directories() {
        let (_root, directories) = two();
        for (directory, name) in [(0, "20-b.toml"), (1, "10-a.toml"), (1, "30-c.toml"), (0, "40-no.conf")] {
            fs::write(directories[directory].join(name), "").unwrap();
        }
        assert_eq!(listed(&directories), ["usr/10-a.toml", "etc/20-b.toml", "usr/30-c.toml"]);
    }

    #[test]
    fn hidden_files_are_no_drop_ins() {
        let (_root, directories) = two();
        symlink("me@host.4711:1764400000", directories[0].join(".#50-mine.toml")).unwrap();
        fs::write(directories[0].join(".50-mine.toml"), "nonsense").unwrap();
        fs::write(directories[0].join("50-mine.toml"), "").unwrap();
        assert_eq!(listed(&directories), ["etc/50-mine.toml"]);
    }

    #[test]
    fn a_name_counts_once() {
        let (_root, directories) = two();
        fs::write(directories[1].join("a.toml"), "workers = 1").unwrap();
        symlink("/dev/null", directories[0].join("a.toml")).unwrap();
        assert_eq!(listed(&directories), ["etc/a.toml"]);
        assert_eq!(read(&directories[0].join("a.toml")), Ok(None));
    }

    #[test]
    fn a_directory_that_is_a_file_is_a_problem_and_the_others_are_read() {
        let (_root, mut directories) = two();
        fs::write(directories[1].join("a.toml"), "").unwrap();
        fs::write(directories[0].join("file"), "").unwrap();
        directories.insert(0, directories[0].join("file"));
        let (files, problems) = list(&directories, "toml");
        assert_eq!((files.len(), problems.len()), (1, 1));
    }

    #[test]
    fn what_is_not_a_file_with_text_is_refused() {
        let (_root, directories) = two();
        let directory = directories[0].join("d.toml");
        fs::create_dir(&directory).unwrap();
        assert_eq!(read(&directory).unwrap_err().message, "is a directory");

        let binary = directories[0].join("b.toml");
        fs::write(&binary, b"# x\nworkers = \xff").unwrap();
        assert_eq!(read(&binary).unwrap_err().position, Some(Position { line: 2, column: 11 }));

        let dangling = directories[0].join("l.toml");
        symlink("nowhere", &dangling).unwrap();
        assert!(read(&dangling).unwrap_err().message.starts_with("cannot read the file: No such file"));
        assert_eq!(first(&directories, "l.toml"), Some(dangling));
    }
}
