//! The state that callers read. The answers come from the last state that the runtime has published, so no
//! reader waits while the cluster waits for systemd or polkit.

use std::sync::Arc;

use cluster::view::{self, View};
use names::{Instance, Names};
use tokio::sync::watch;

use crate::releases::{Release, Releases};
use crate::service::wire;
use crate::shared_read::SharedRead;
use crate::{board, clock};

/// Answers the calls that only read.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<Sources>);

#[derive(Debug)]
struct Sources {
    views: watch::Receiver<View>,
    names: Names,
    releases: Releases,
    /// The version of the package that was installed when the orchestrator started.
    version: String,
    /// These readings are shared, because any user of the machine may call as often as they like.
    on_disk: SharedRead<Result<Vec<api::Release>, String>>,
    counted: SharedRead<Vec<api::Counters>>,
}

impl Reader {
    pub(crate) fn new(views: watch::Receiver<View>, names: Names, releases: Releases) -> Self {
        let (version, (on_disk, counted)) = (version(&releases), Default::default());
        Self(Arc::new(Sources { views, names, releases, version, on_disk, counted }))
    }

    pub(crate) fn status(&self) -> api::Status {
        wire::status(&self.0.names, &self.0.version, &self.0.views.borrow())
    }

    pub(crate) fn version(&self) -> &str {
        &self.0.version
    }

    pub(crate) fn properties(&self) -> view::Properties {
        self.0.views.borrow().properties.clone()
    }

    /// The history, newest first.
    pub(crate) fn history(&self) -> Vec<api::Entry> {
        let history = Arc::clone(&self.0.views.borrow().history);
        history.iter().rev().map(wire::entry).collect()
    }

    /// The figures of the workers, read now.
    pub(crate) async fn counters(&self) -> Vec<api::Counters> {
        let sources = Arc::clone(&self.0);
        let read = move || {
            let processes = processes(&sources.views.borrow());
            board::counters(&sources.names.scoreboard, &processes)
        };
        self.0.counted.get(read).await.unwrap_or_default()
    }

    /// The releases on disk, newest first.
    pub(crate) async fn releases(&self) -> Result<Vec<api::Release>, api::Error> {
        let sources = Arc::clone(&self.0);
        let read = move || {
            let view = sources.views.borrow().clone();
            let listed = sources.releases.list().map_err(|error| error.to_string())?;
            Ok(listed.into_iter().rev().map(|release| describe(&view, release, &sources.releases)).collect())
        };
        let listed = self.0.on_disk.get(read).await.unwrap_or_else(|error| Err(error.to_string()));
        listed.map_err(|error| api::Error::Refused(format!("failed to list the releases: {error}")))
    }
}

/// The workers that have a process, and the id of the process.
fn processes(view: &View) -> Vec<(Instance, u32)> {
    let workers = view.workers.iter().filter(|worker| worker.pid != 0);
    workers.map(|worker| (worker.instance, worker.pid)).collect()
}

fn describe(view: &View, release: Release, releases: &Releases) -> api::Release {
    let workers = view.workers.iter().filter(|worker| worker.release.as_ref() == Some(&release.id)).count();
    api::Release {
        workers: workers.try_into().unwrap_or(u32::MAX),
        is_current: view.properties.release == release.id.as_str(),
        is_rejected: releases.is_rejected(&release.id),
        added_usec: clock::epoch_usec(release.added),
        directory: release.directory().map(|dir| dir.display().to_string()).unwrap_or_default(),
        id: release.id.to_string(),
    }
}

/// The version of the package, or that of the source if no package installed this orchestrator.
fn version(releases: &Releases) -> String {
    releases.packaged_version().map_or_else(
        |error| {
            tracing::debug!("{error:#}; using the version of the source");
            env!("CARGO_PKG_VERSION").to_owned()
        },
        |version| version.to_string(),
    )
}
