//! Making releases of what people deploy, beside the driver: a large file must not hold it up.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::sync::{Mutex, OwnedMutexGuard};

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
    deploying: Arc<Mutex<()>>,
}

/// Held from before a release is made until the driver knows of the rollout to it. Meanwhile no other deploy takes its name, and it
/// is not removed as unused.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl Stage {
    pub(crate) fn new(releases: Releases) -> Self {
        Self { releases: Arc::new(Mutex::new(releases)), deploying: Arc::default() }
    }

    /// Waits until no other deploy is on its way to the driver.
    #[must_use = "others deploy when this is dropped"]
    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.deploying).lock_owned().await
    }

    /// Makes a release of this program, unless it is there already. With `replaces` one of the same name makes room for it, once it
    /// is known that this one can run.
    pub(crate) async fn add(
        &self,
        program: Program,
        id: Option<ReleaseId>,
        replaces: bool,
    ) -> Result<Staged, api::Error> {
        let releases = Arc::clone(&self.releases).lock_owned().await;
        let staged = beside(releases, move |releases| match id {
            Some(id) if replaces => {
                let Staged::New(beside) = make(releases, program, Some(releases.next_free(id.clone())))?
                else {
                    bail!("there is no free name beside release {id}")
                };
                releases.replace(&id, &beside)?;
                Ok(Staged::New(id))
            }
            id => make(releases, program, id),
        });
        staged.await.map_err(|error| api::Error::Refused(format!("{error:#}")))
    }

    /// Makes what the package brings a release ([`Releases::stage_packaged`]): its program may be large, and is compared. Does not
    /// wait for a deploy, which may copy from a slow disk.
    pub(crate) async fn packaged(&self) -> anyhow::Result<Option<ReleaseId>> {
        let releases = Arc::clone(&self.releases).try_lock_owned();
        let releases =
            releases.context("a release is being made, for a deploy; try again when that has ended")?;
        beside(releases, Releases::stage_packaged).await
    }

    /// Takes a release back to which no rollout began.
    pub(crate) async fn take_back(&self, id: ReleaseId) {
        if let Err(error) = self.releases.lock().await.remove(&id) {
            tracing::warn!("failed to remove release {id}: {error}; its name stays taken");
        }
    }

    /// Runs a change of the releases that must not meet one that is being made, or has just been made; not at all while there
    /// is one.
    pub(crate) fn with_none_under_way<T>(&self, change: impl FnOnce(&Releases) -> T) -> Option<T> {
        let _turn = self.deploying.try_lock().ok()?;
        self.releases.try_lock().ok().map(|releases| change(&releases))
    }
}

fn make(releases: &Releases, program: Program, id: Option<ReleaseId>) -> anyhow::Result<Staged> {
    match program {
        Program::File(file) => releases.stage_file(&file, id),
        Program::Directory(path) => releases.stage_directory(&path, id).map(Staged::New),
    }
}

/// Runs it in a thread of its own.
async fn beside<T: Send + 'static>(
    releases: OwnedMutexGuard<Releases>,
    make: impl FnOnce(&Releases) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(move || make(&releases)).await.context("failed to make a release")?
}
