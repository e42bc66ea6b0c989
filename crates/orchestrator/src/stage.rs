//! Making releases of what people deploy, beside the driver: a large file must not hold it up.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::releases::{ReleaseId, Releases, Staged};

/// What somebody deploys.
#[derive(Debug)]
pub(crate) enum Program {
    /// A program, to be copied.
    File(File),
    /// A directory with the program `worker` in it.
    Directory(PathBuf),
}

/// Where releases are made, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    releases: Arc<Mutex<Releases>>,
}

impl Stage {
    pub(crate) fn new(releases: Releases) -> Self {
        Self { releases: Arc::new(Mutex::new(releases)) }
    }

    /// Makes a release of this program, unless it is there already.
    pub(crate) async fn add(&self, program: Program, id: Option<ReleaseId>) -> Result<Staged, api::Error> {
        let releases = Arc::clone(&self.releases).lock_owned().await;
        let staged = tokio::task::spawn_blocking(move || match program {
            Program::File(file) => releases.stage_file(&file, id),
            Program::Directory(path) => releases.stage_directory(&path, id).map(Staged::New),
        });
        match staged.await {
            Ok(Ok(staged)) => Ok(staged),
            Ok(Err(error)) => Err(api::Error::Refused(format!("{error:#}"))),
            Err(error) => Err(api::Error::Refused(format!("failed to make a release: {error}"))),
        }
    }

    /// Takes a release back to which no rollout began.
    pub(crate) async fn take_back(&self, id: ReleaseId) {
        if let Err(error) = self.releases.lock().await.remove(&id) {
            tracing::warn!("failed to remove release {id}: {error}; its name stays taken");
        }
    }

    /// Runs a change of the releases that must not meet one that is being made; not at all while one is.
    pub(crate) fn with_none_under_way<T>(&self, change: impl FnOnce(&Releases) -> T) -> Option<T> {
        self.releases.try_lock().ok().map(|releases| change(&releases))
    }
}
