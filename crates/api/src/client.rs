//! The client side of the interface.

use std::os::fd::BorrowedFd;

use zbus::fdo;
use zbus::proxy::OwnerChangedStream;

use crate::proxy::MembersProxy;
use crate::{Counters, Entry, Error, Options, Release, Rollouts, Status};

/// The orchestrator as a client sees it.
///
/// Some members of 1.0 have a successor. A call tries the successor first. An orchestrator of 1.0 does not
/// know the successor, and the bus policy of 1.0 does not permit every user to call it. In both cases the
/// call then uses the member of 1.0. Every call tries anew, because the orchestrator may be replaced between
/// two calls.
#[derive(Debug, Clone)]
pub struct Cluster {
    members: MembersProxy<'static>,
}

impl Cluster {
    /// The orchestrator on this bus.
    ///
    /// # Errors
    /// Fails if the bus does not answer.
    pub async fn new(connection: &zbus::Connection) -> zbus::Result<Self> {
        Ok(Self { members: MembersProxy::new(connection).await? })
    }

    /// One snapshot of the cluster.
    ///
    /// # Errors
    /// Fails if the orchestrator refuses the call, or if the bus reports an error.
    pub async fn status(&self) -> Result<Status, Error> {
        let now = async { self.members.get_status().await.map(Status::from) };
        either(now, async { self.members.status().await.map(|(status,)| status.into()) }).await
    }

    /// What the workers have counted, by instance number. A worker that does not count on the scoreboard is
    /// missing.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn counters(&self) -> Result<Vec<Counters>, Error> {
        let now = async { self.members.get_counters().await.map(each) };
        either(now, async { self.members.counters().await.map(each) }).await
    }

    /// The releases on disk, newest first.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn releases(&self) -> Result<Vec<Release>, Error> {
        let now = async { self.members.list_releases().await.map(each) };
        either(now, async { self.members.releases().await.map(each) }).await
    }

    /// The past rollouts and the running one, newest first.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn history(&self) -> Result<Vec<Entry>, Error> {
        let now = async { self.members.list_history().await.map(each) };
        either(now, async { self.members.history().await.map(each) }).await
    }

    /// Begins a rollout, or queues one behind the running rollout, and returns its id.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn reload(&self, by: &str) -> Result<u64, Error> {
        let options = Options { by: by.to_owned(), ..Options::default() };
        either(self.members.begin_reload(options.into()), self.members.reload(by)).await
    }

    /// Copies the program behind this descriptor and begins a rollout to it. Returns the rollout's id, or
    /// [`UNCHANGED`](crate::UNCHANGED).
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn deploy(&self, file: BorrowedFd<'_>, options: &Options) -> Result<u64, Error> {
        let Options { id, canary, by } = options;
        let now = self.members.begin_deploy(file.into(), options.clone().into());
        either(now, self.members.deploy(file.into(), id, *canary, by)).await
    }

    /// Begins a rollout to the program `worker` in this directory, and returns the rollout's id. The workers
    /// execute that file, so the directory has to stay.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn deploy_directory(&self, path: &str, options: &Options) -> Result<u64, Error> {
        let Options { id, canary, by } = options;
        let now = self.members.begin_deploy_directory(path, options.clone().into());
        either(now, self.members.deploy_directory(path, id, *canary, by)).await
    }

    /// Begins a rollout to a release that is on disk, and returns the rollout's id. An empty `id` means the
    /// release before the current one.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn rollback(&self, id: &str, by: &str) -> Result<u64, Error> {
        let options = Options { id: id.to_owned(), by: by.to_owned(), ..Options::default() };
        either(self.members.begin_rollback(options.into()), self.members.rollback(id, by)).await
    }

    /// Pauses the running rollout. It finishes the workers that it is replacing and takes no further one.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn pause(&self) -> Result<(), Error> {
        self.members.pause().await
    }

    /// Lets a paused rollout continue.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn resume(&self) -> Result<(), Error> {
        self.members.resume().await
    }

    /// Aborts a rollout, the running one if `rollout` is 0. The replaced workers go back to the old release.
    /// A rollout that only restarts workers ends after those that it is restarting. A queued rollout is
    /// withdrawn.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn abort(&self, rollout: u64) -> Result<(), Error> {
        self.members.abort(rollout).await
    }

    /// Makes the orchestrator read the configuration again and scale to it. Returns the wanted number of
    /// workers.
    ///
    /// # Errors
    /// Fails as [`Cluster::status`] does.
    pub async fn reconfigure(&self) -> Result<u32, Error> {
        self.members.reconfigure().await
    }

    /// Every step of every rollout from now on.
    ///
    /// # Errors
    /// Fails if the bus does not answer.
    pub async fn rollouts(&self) -> zbus::Result<Rollouts> {
        self.members.inner().receive_all_signals().await.map(Rollouts::new)
    }

    /// A stream of changes: an orchestrator takes the bus name, or loses it.
    ///
    /// # Errors
    /// Fails if the bus does not answer.
    pub async fn owners(&self) -> zbus::Result<OwnerChangedStream<'static>> {
        self.members.inner().receive_owner_changed().await
    }
}

/// The answer of the new member. If it cannot be called, the answer of the member of 1.0.
async fn either<T>(
    new: impl Future<Output = Result<T, Error>>,
    old: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let missing = match new.await {
        Err(error) if is_missing(&error) => error,
        answer => return answer,
    };
    match old.await {
        // The orchestrator has neither member. If it is of a later version, the first answer says more.
        Err(error) if is_unknown(&error) => Err(missing),
        answer => answer,
    }
}

fn is_missing(error: &Error) -> bool {
    is_unknown(error)
        || matches!(error, Error::ZBus(zbus::Error::FDO(error)) if matches!(**error, fdo::Error::AccessDenied(_)))
}

fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::ZBus(zbus::Error::FDO(error)) if matches!(**error, fdo::Error::UnknownMethod(_)))
}

fn each<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(B::from).collect()
}
