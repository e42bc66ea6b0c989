//! The two drop-ins that `scale` writes. A write replaces the whole file, or changes nothing.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use config::Workers;

/// Where the files are.
pub(super) struct DropIns {
    lasting: PathBuf,
    /// Its name sorts after that of the lasting one, so it takes precedence.
    runtime: PathBuf,
}

/// The content of the files; absent if there was no file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    lasting: Option<Vec<u8>>,
    runtime: Option<Vec<u8>>,
}

impl DropIns {
    /// The drop-ins below `root`.
    pub(super) fn below(root: &Path) -> Self {
        Self {
            lasting: root.join("etc/app-cluster/conf.d/90-scale.toml"),
            runtime: root.join("run/app-cluster/conf.d/91-scale-runtime.toml"),
        }
    }

    /// Reads the content of the files.
    pub(super) fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(Snapshot { lasting: content(&self.lasting)?, runtime: content(&self.runtime)? })
    }

    /// Sets the number of workers, for good or until the next boot.
    pub(super) fn write(&self, workers: Workers, runtime: bool) -> anyhow::Result<()> {
        let value = match workers {
            Workers::Auto => "\"auto\"".to_owned(),
            Workers::Count(count) => count.get().to_string(),
        };
        let path = if runtime { &self.runtime } else { &self.lasting };
        let former = content(path)?.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
        put(path, Some(with_workers(&former, &value).as_bytes()))?;
        if runtime { Ok(()) } else { put(&self.runtime, None) }
    }

    /// Waits until any other `scale` is applied. No other one is applied until the lock is dropped.
    pub(super) fn lock(&self) -> anyhow::Result<File> {
        let directory = directory_of(&self.lasting)?;
        let locked = create(directory).and_then(|()| {
            let file = File::open(directory)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
            Ok(file)
        });
        locked.with_context(|| format!("cannot lock {}", directory.display()))
    }

    /// Restores the former content.
    pub(super) fn restore(&self, former: &Snapshot) -> anyhow::Result<()> {
        put(&self.lasting, former.lasting.as_deref())?;
        put(&self.runtime, former.runtime.as_deref())
    }
}

/// The file as it was, with this number of workers. Keys that an operator has added to it stay.
fn with_workers(former: &str, value: &str) -> String {
    let setting = format!("workers = {value}");
    if former.is_empty() {
        return format!("# Written by `app-cluster scale`.\n{setting}\n");
    }
    let is_setting = |line: &str| {
        line.trim_start().strip_prefix("workers").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut lines: Vec<&str> = former.lines().collect();
    let top = lines.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(lines.len());
    match lines[..top].iter().position(|line| is_setting(line)) {
        Some(at) => lines[at] = &setting,
        None => lines.insert(0, &setting),
    }
    lines.join("\n") + "\n"
}

fn content(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes `content` to `path`, or removes the file. The change survives a power failure.
fn put(path: &Path, content: Option<&[u8]>) -> anyhow::Result<()> {
    match content {
        Some(content) => replace(path, content),
        None => remove(path),
    }
    .with_context(|| format!("cannot write {}", path.display()))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path)?;
    create(directory)?;
    // The name does not end in .toml, so an orchestrator that reads the directory meanwhile ignores the file.
    let mut file = tempfile::Builder::new().prefix(".scale-").suffix(".tmp").tempfile_in(directory)?;
    file.write_all(content)?;
    // The orchestrator runs as another user and has to read it, whatever the umask of the shell.
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => File::open(directory_of(path)?)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn directory_of(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Creates `directory` and its missing parents, readable by every user.
fn create(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        create(parent)?;
    }
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(root: &Path) -> String {
        config::load(root).unwrap().workers.to_string()
    }

    #[test]
    fn runtime_holds_until_a_lasting_one() {
        let root = tempfile::tempdir().unwrap();
        let files = DropIns::below(root.path());
        files.write("4".parse().unwrap(), false).unwrap();
        assert_eq!(workers(root.path()), "4");
        files.write("6".parse().unwrap(), true).unwrap();
        assert_eq!(workers(root.path()), "6");
        files.write(Workers::Auto, false).unwrap();
        assert_eq!(workers(root.path()), "auto");
        assert!(!files.runtime.exists());
    }

    #[test]
    fn other_keys_stay() {
        let text = "# mine\nworkers = 2 # few\n[rollout]\nsurge = 2\n";
        assert_eq!(with_workers(text, "4"), "# mine\nworkers = 4\n[rollout]\nsurge = 2\n");
        assert_eq!(with_workers("[rollout]\nsurge = 2\n", "4"), "workers = 4\n[rollout]\nsurge = 2\n");
    }

    #[test]
    fn restoring_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        let files = DropIns::below(root.path());
        let nothing = files.snapshot().unwrap();
        files.write("4".parse().unwrap(), true).unwrap();
        let four = files.snapshot().unwrap();
        files.write("6".parse().unwrap(), false).unwrap();
        files.restore(&four).unwrap();
        assert_eq!(files.snapshot().unwrap(), four);
        files.restore(&nothing).unwrap();
        assert_eq!(files.snapshot().unwrap(), nothing);
        let left: Vec<_> = fs::read_dir(root.path().join("run/app-cluster/conf.d")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn everybody_can_read_them() {
        let root = tempfile::tempdir().unwrap();
        let files = DropIns::below(root.path());
        files.write("4".parse().unwrap(), false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&files.lasting), 0o644);
        assert_eq!(mode(files.lasting.parent().unwrap()), 0o755);
    }
}
