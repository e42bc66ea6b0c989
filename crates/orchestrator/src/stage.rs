//! Making releases of what people deploy, beside the driver: a large file must not hold it up.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
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
        let staged = self.beside(move |releases| match program {
            Program::File(file) => releases.stage_file(&file, id),
            Program::Directory(path) => releases.stage_directory(&path, id).map(Staged::New),
        });
        staged.await.map_err(|error| api::Error::Refused(format!("{error:#}")))
    }

    /// Makes what the package brings a release ([`Releases::stage_packaged`]): its program may be large, and is compared.
    pub(crate) async fn packaged(&self) -> anyhow::Result<Option<ReleaseId>> {
        self.beside(Releases::stage_packaged).await
    }

    /// Runs it in a thread of its own, after those before.
    async fn beside<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Releases) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let releases = Arc::clone(&self.releases).lock_owned().await;
        tokio::task::spawn_blocking(move || make(&releases)).await.context("failed to make a release")?
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
