//! Makes releases of deployed programs in the background, because a large file must not delay the cluster.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cluster::release::ReleaseId;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;

use crate::releases::{Releases, Staged};

/// A program to deploy.
#[derive(Debug)]
pub(crate) enum Program {
    /// A file, which is copied.
    File(File),
    /// A directory with the program `worker` in it, which is used in place.
    Directory(PathBuf),
}

/// Makes releases, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    releases: Releases,
    /// Held while a release is made or removed.
    making: Arc<Mutex<()>>,
    deploying: Arc<Mutex<()>>,
}

/// Held while a release is made and until the cluster knows the rollout to it. Meanwhile no other deploy
/// takes its name, and it is not removed as unused.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl Stage {
    pub(crate) fn new(releases: Releases) -> Self {
        Self { releases, making: Arc::default(), deploying: Arc::default() }
    }

    /// Waits until no other deploy holds the turn.
    #[must_use = "dropping it lets other deploys begin"]
    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.deploying).lock_owned().await
    }

    /// Whether the last rollout to this release failed or was undone, and whether the release was deployed.
    pub(crate) async fn look_at(&self, id: ReleaseId) -> Result<(bool, bool), api::Error> {
        let releases = self.releases.clone();
        let looked = spawn_blocking(move || (releases.is_rejected(&id), releases.is_deployed(&id))).await;
        looked.map_err(|error| api::Error::Refused(format!("failed to examine the release: {error}")))
    }

    /// Makes a release of this program, unless it already exists. If `replaces` is true, the new release
    /// replaces the one of the same name, but only after a check that the new one can run.
    pub(crate) async fn add(
        &self,
        program: Program,
        id: Option<ReleaseId>,
        replaces: bool,
    ) -> Result<Staged, api::Error> {
        let staged = self.alone(move |releases| match id {
            Some(id) if replaces => {
                let Staged::New(beside) = make(releases, program, Some(releases.next_free(id.clone())))?
                else {
                    bail!("found no temporary name for the successor of release {id}")
                };
                releases.replace(&id, &beside)?;
                Ok(Staged::New(id))
            }
            id => make(releases, program, id),
        });
        staged.await.map_err(|error| api::Error::Refused(format!("{error:#}")))
    }

    /// Makes a release of the package's program ([`Releases::stage_packaged`]). This may take long, because
    /// it compares the program. It does not wait for a deploy, which may copy from a slow disk.
    pub(crate) fn packaged(&self, current: Option<&ReleaseId>) -> anyhow::Result<Option<ReleaseId>> {
        let making = self.making.try_lock();
        let _making = making.context("a deploy is making a release; try again when it has ended")?;
        self.releases.stage_packaged(current)
    }

    /// Removes a new release because no rollout to it began.
    pub(crate) async fn take_back(&self, id: ReleaseId) {
        let name = id.to_string();
        if let Err(error) = self.alone(move |releases| Ok(releases.remove(&id)?)).await {
            tracing::warn!("failed to remove release {name}: {error:#}; its name stays taken");
        }
    }

    /// Runs a change of the releases, unless a release is being made, or has been made for a rollout that has
    /// not begun.
    pub(crate) fn with_none_under_way<T>(&self, change: impl FnOnce(&Releases) -> T) -> Option<T> {
        let _turn = self.deploying.try_lock().ok()?;
        let _making = self.making.try_lock().ok()?;
        Some(change(&self.releases))
    }

    /// Runs `make` in a thread of its own, while no other release is being made.
    async fn alone<T: Send + 'static>(
        &self,
        make: impl FnOnce(&Releases) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (releases, making) = (self.releases.clone(), Arc::clone(&self.making).lock_owned().await);
        let made = spawn_blocking(move || {
            let _making = making;
            make(&releases)
        });
        made.await.context("failed to make a release")?
    }
}

fn make(releases: &Releases, program: Program, id: Option<ReleaseId>) -> anyhow::Result<Staged> {
    match program {
        Program::File(file) => releases.stage_file(&file, id),
        Program::Directory(path) => releases.stage_directory(&path, id).map(Staged::New),
    }
}
