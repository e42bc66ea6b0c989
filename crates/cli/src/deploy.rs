//! `app-cluster deploy`: passes a program to the orchestrator, which rolls the workers to it.
//!
//! This command opens a file, and the orchestrator copies it from the descriptor. The orchestrator runs as an
//! unprivileged user and sees neither `/home` nor `/tmp`. A directory stays where it is, and workers execute the
//! program `worker` in it.

use std::fs::{self, File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use api::Options;

use crate::args::DeployOptions;
use crate::exit::{Exit, Failure};
use crate::rollout::{self, Purpose};
use crate::{asker, bus};

/// Within this time, a slow disk can store a large program.
const COPY_TIMEOUT: Duration = Duration::from_secs(600);

/// What to deploy.
#[derive(Debug)]
enum Program {
    /// A file, open for reading.
    File(File),
    /// The resolved path of a directory with the program `worker`.
    Directory(String),
}

/// Deploys the program in `options`, and follows the rollout as far as they say.
pub(crate) async fn run(options: &DeployOptions) -> anyhow::Result<Exit> {
    let program = Program::open(&options.path)?;
    let wished = Options {
        id: options.id.clone().unwrap_or_default(),
        canary: options.canary.unwrap_or_default(),
        by: asker::name(),
    };
    let purpose = if wished.canary == 0 { Purpose::Replace } else { Purpose::Canary };

    let cluster = bus::connect().await?;
    let call = async {
        match &program {
            Program::File(file) => cluster.deploy(file.as_fd(), &wished).await,
            Program::Directory(path) => cluster.deploy_directory(path, &wished).await,
        }
    };
    rollout::finish(rollout::follow(&cluster, purpose, bus::answer_within(COPY_TIMEOUT, call)).await?)
}

impl Program {
    fn open(path: &Path) -> Result<Self, Failure> {
        // This comes before opening: opening a FIFO blocks until another process opens it for writing.
        let kind = metadata(path)?;
        if kind.is_dir() {
            return Self::directory(path);
        }
        if !kind.is_file() {
            return Err(refusal(path, "neither a file nor a directory"));
        }
        File::open(path).map(Self::File).map_err(|error| refusal(path, &format!("cannot be read: {error}")))
    }

    fn directory(path: &Path) -> Result<Self, Failure> {
        let resolved = fs::canonicalize(path).map_err(|error| refusal(path, &error.to_string()))?;
        let worker = resolved.join("worker");
        let program = metadata(&worker)?;
        if !program.is_file() {
            return Err(refusal(&worker, "not a file; it has to be the program that workers execute"));
        }
        if program.permissions().mode() & 0o111 == 0 {
            return Err(refusal(&worker, "not executable; set it with `chmod +x`"));
        }
        match resolved.to_str() {
            Some(resolved) => Ok(Self::Directory(resolved.to_owned())),
            None => Err(refusal(path, "its resolved path is not UTF-8, which D-Bus cannot carry")),
        }
    }
}

fn metadata(path: &Path) -> Result<Metadata, Failure> {
    fs::metadata(path).map_err(|error| refusal(path, &error.to_string()))
}

fn refusal(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Refused, format!("{}: {why}; nothing was deployed", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn why(path: &Path) -> String {
        let failure = Program::open(path).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        failure.message
    }

    #[test]
    fn a_directory_needs_a_program_that_can_be_executed() {
        let directory = tempfile::tempdir().unwrap();
        let worker = directory.path().join("worker");
        assert!(why(directory.path()).contains("worker: No such file or directory"));
        fs::create_dir(&worker).unwrap();
        assert!(why(directory.path()).contains("worker: not a file"));
        fs::remove_dir(&worker).unwrap();
        fs::write(&worker, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&worker, Permissions::from_mode(0o644)).unwrap();
        assert!(why(directory.path()).contains("worker: not executable"));
        fs::set_permissions(&worker, Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(Program::open(directory.path()), Ok(Program::Directory(_))));
        assert!(matches!(Program::open(&worker), Ok(Program::File(_))));
    }

    #[test]
    fn links_are_resolved_when_it_is_deployed() {
        let directory = tempfile::tempdir().unwrap();
        let release = directory.path().join("release-1");
        fs::create_dir(&release).unwrap();
        fs::write(release.join("worker"), "").unwrap();
        fs::set_permissions(release.join("worker"), Permissions::from_mode(0o755)).unwrap();
        let link = directory.path().join("newest");
        std::os::unix::fs::symlink(&release, &link).unwrap();
        let Ok(Program::Directory(path)) = Program::open(&link) else { panic!("it is a directory") };
        assert_eq!(Path::new(&path), fs::canonicalize(release).unwrap());
    }

    #[test]
    fn what_is_no_program_is_not_opened() {
        assert!(why(Path::new("/dev/null")).contains("neither a file nor a directory"));
        assert!(why(Path::new("/nowhere/at/all")).contains("No such file or directory"));
    }
}
