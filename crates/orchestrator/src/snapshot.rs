//! What callers are shown. They are answered from the last state that the driver has published. So no reader waits while the
//! driver waits for systemd or polkit.

use std::path::PathBuf;
use std::sync::Arc;

use rollout::Instance;
use tokio::sync::watch;

use crate::history::Entry;
use crate::releases::{ReleaseId, Releases};
use crate::shared_read::SharedRead;
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

/// Answers the calls that only read.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<Sources>);

#[derive(Debug)]
struct Sources {
    snapshots: watch::Receiver<Snapshot>,
    releases: Releases,
    scoreboard: PathBuf,
    /// Any user of the machine may ask, as fast as it likes.
    on_disk: SharedRead<Result<Vec<api::Release>, String>>,
    counted: SharedRead<Vec<api::Counters>>,
}

impl Reader {
    pub(crate) fn new(snapshots: watch::Receiver<Snapshot>, releases: Releases, scoreboard: PathBuf) -> Self {
        let (on_disk, counted) = Default::default();
        Self(Arc::new(Sources { snapshots, releases, scoreboard, on_disk, counted }))
    }

    pub(crate) fn status(&self) -> api::Status {
        self.0.snapshots.borrow().status.clone()
    }

    /// The newest first.
    pub(crate) fn history(&self) -> Vec<api::Entry> {
        let history = Arc::clone(&self.0.snapshots.borrow().history);
        history.iter().rev().map(Into::into).collect()
    }

    /// What the workers have counted, read now.
    pub(crate) async fn counters(&self) -> Vec<api::Counters> {
        let sources = Arc::clone(&self.0);
        let read = move || {
            let processes = sources.snapshots.borrow().processes.clone();
            board::counters(&sources.scoreboard, &processes)
        };
        self.0.counted.get(read).await.unwrap_or_default()
    }

    /// Those on disk, the newest first.
    pub(crate) async fn releases(&self) -> Result<Vec<api::Release>, api::Error> {
        let sources = Arc::clone(&self.0);
        let read = move || {
            let snapshot = sources.snapshots.borrow().clone();
            let listed = sources.releases.list().map_err(|error| error.to_string())?;
            Ok(listed
                .into_iter()
                .rev()
                .map(|release| snapshot.describe(release, &sources.releases))
                .collect())
        };
        let listed = self.0.on_disk.get(read).await.unwrap_or_else(|error| Err(error.to_string()));
        listed.map_err(|error| api::Error::Refused(format!("failed to list the releases: {error}")))
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
