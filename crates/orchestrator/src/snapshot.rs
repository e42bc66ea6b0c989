//! What callers are shown. They are answered from the last state that the driver has published, so that no reader waits for
//! what the driver waits for: systemd, polkit, a disk.

use std::path::PathBuf;
use std::sync::Arc;

use rollout::Instance;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::history::Entry;
use crate::releases::{ReleaseId, Releases};
use crate::{board, running};

/// The state of the cluster at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) status: api::Status,
    /// The workers that have a process, and its pid.
    pub(crate) processes: Vec<(Instance, u32)>,
    /// The release of each of them.
    pub(crate) running: Vec<ReleaseId>,
    /// The release that a worker started now would run.
    pub(crate) current: Option<ReleaseId>,
    /// The newest last.
    pub(crate) history: Arc<Vec<Entry>>,
}

/// Answers those who only read.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) snapshots: watch::Receiver<Snapshot>,
    pub(crate) releases: Releases,
    pub(crate) scoreboard: PathBuf,
}

impl Reader {
    pub(crate) fn status(&self) -> api::Status {
        self.snapshots.borrow().status.clone()
    }

    /// The newest first.
    pub(crate) fn history(&self) -> Vec<api::Entry> {
        let history = Arc::clone(&self.snapshots.borrow().history);
        history.iter().rev().map(Into::into).collect()
    }

    /// What the workers have counted, read now.
    pub(crate) async fn counters(&self) -> Vec<api::Counters> {
        let processes = self.snapshots.borrow().processes.clone();
        let scoreboard = self.scoreboard.clone();
        let counters = spawn_blocking(move || board::counters(&scoreboard, &processes)).await;
        counters.unwrap_or_default()
    }

    /// Those on disk, the newest first.
    pub(crate) async fn releases(&self) -> Result<Vec<api::Release>, api::Error> {
        let refused =
            |error: std::io::Error| api::Error::Refused(format!("failed to list the releases: {error}"));
        let (snapshot, releases) = (self.snapshots.borrow().clone(), self.releases.clone());
        let listed = spawn_blocking(move || {
            let listed = releases.list()?.into_iter().rev();
            Ok(listed.map(|release| snapshot.describe(release, &releases)).collect())
        });
        listed.await.unwrap_or_else(|error| Err(error.into())).map_err(refused)
    }
}

impl Snapshot {
    fn describe(&self, release: crate::releases::Release, releases: &Releases) -> api::Release {
        let workers = self.running.iter().filter(|id| **id == release.id).count();
        api::Release {
            workers: workers.try_into().unwrap_or(u32::MAX),
            is_current: self.current.as_ref() == Some(&release.id),
            is_rejected: releases.is_rejected(&release.id),
            added_usec: running::epoch_usec(release.added),
            directory: release.directory().map(|dir| dir.display().to_string()).unwrap_or_default(),
            id: release.id.to_string(),
        }
    }
}
