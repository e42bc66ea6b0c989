//! The object `org.appcluster1` on the bus. Calls that only read are answered at once, those that act by the driver.
//!
//! Who may call what is the bus's own policy (`/usr/share/dbus-1/system.d/org.appcluster1.conf`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use zbus::Connection;
use zbus::fdo;
use zbus::names::InterfaceName;
use zbus::object_server::SignalEmitter;

use crate::driver::Input;
use crate::orders::{Order, Wish};
use crate::releases::{ReleaseId, Staged, taken};
use crate::snapshot::Reader;
use crate::stage::{Program, Stage};

/// What a call waits for.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, api::Error>>;

/// A call that acts, and where its answer goes.
#[derive(Debug)]
pub(crate) enum Request {
    Roll(Order, Answer<u64>),
    IsInPlace(ReleaseId, oneshot::Sender<bool>),
    /// Whether a new release may take this name from one that did not come into use.
    MayReplace(ReleaseId, Answer<bool>),
    Pause(Answer<()>),
    Resume(Answer<()>),
    Abort(u64, Answer<()>),
    Reconfigure(Answer<u32>),
}

/// The object that is served.
#[derive(Debug)]
pub(crate) struct Service {
    inputs: UnboundedSender<Input>,
    stage: Stage,
    reader: Reader,
}

impl Service {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, api::Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || api::Error::ShuttingDown("the orchestrator is stopping".to_owned());
        self.inputs.send(Input::Request(request(reply))).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    async fn deploy_program(
        &self,
        program: Program,
        id: &str,
        canary: u32,
        by: String,
    ) -> Result<u64, api::Error> {
        let id = release_id(id)?;
        let _turn = self.stage.turn().await;
        let replaces = match id.clone() {
            Some(id) => self.ask(|reply| Request::MayReplace(id, reply)).await??,
            None => false,
        };
        let release = match self.stage.add(program, id, replaces).await? {
            Staged::New(release) => release,
            Staged::There(release) => {
                let is_in_place = self.ask(|reply| Request::IsInPlace(release.clone(), reply)).await?;
                return if is_in_place {
                    Ok(api::UNCHANGED)
                } else {
                    Err(api::Error::Refused(taken(&release)))
                };
            }
        };
        let wish = Wish::Deploy(release.clone());
        let order = Order { wish, canary: (canary > 0).then_some(canary), by };
        let begun = self.ask(|reply| Request::Roll(order, reply)).await.flatten();
        if begun.is_err() {
            // Whoever mends what was wrong deploys it again, under the same name.
            self.stage.take_back(release).await;
        }
        begun
    }
}

/// The id that somebody typed; none if it is left to us.
fn release_id(id: &str) -> Result<Option<ReleaseId>, api::Error> {
    if id.is_empty() {
        return Ok(None);
    }
    let refused = || {
        api::Error::Refused(format!(
            "`{id}` cannot name a release: letters, digits and `.+~_-`, at most 100, not beginning with a dot or a dash"
        ))
    };
    ReleaseId::new(id).map(Some).ok_or_else(refused)
}

#[zbus::interface(name = "org.appcluster1")]
impl Service {
    async fn status(&self) -> (api::Status,) {
        (self.reader.status(),)
    }

    async fn counters(&self) -> Vec<api::Counters> {
        self.reader.counters().await
    }

    async fn releases(&self) -> Result<Vec<api::Release>, api::Error> {
        self.reader.releases().await
    }

    async fn history(&self) -> Vec<api::Entry> {
        self.reader.history()
    }

    async fn reload(&self, by: String) -> Result<u64, api::Error> {
        let order = Order { wish: Wish::Reload, canary: None, by };
        self.ask(|reply| Request::Roll(order, reply)).await?
    }

    async fn deploy(
        &self,
        file: zbus::OwnedFd,
        id: String,
        canary: u32,
        by: String,
    ) -> Result<u64, api::Error> {
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(file));
        self.deploy_program(Program::File(file), &id, canary, by).await
    }

    async fn deploy_directory(
        &self,
        path: String,
        id: String,
        canary: u32,
        by: String,
    ) -> Result<u64, api::Error> {
        self.deploy_program(Program::Directory(PathBuf::from(path)), &id, canary, by).await
    }

    async fn rollback(&self, id: String, by: String) -> Result<u64, api::Error> {
        let order = Order { wish: Wish::Rollback(release_id(&id)?), canary: None, by };
        self.ask(|reply| Request::Roll(order, reply)).await?
    }

    async fn pause(&self) -> Result<(), api::Error> {
        self.ask(Request::Pause).await?
    }

    async fn resume(&self) -> Result<(), api::Error> {
        self.ask(Request::Resume).await?
    }

    async fn abort(&self, rollout: u64) -> Result<(), api::Error> {
        self.ask(|reply| Request::Abort(rollout, reply)).await?
    }

    async fn reconfigure(&self) -> Result<u32, api::Error> {
        self.ask(Request::Reconfigure).await?
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn version(&self) -> String {
        self.reader.status().version
    }

    #[zbus(property)]
    async fn summary(&self) -> String {
        self.reader.status().summary
    }

    #[zbus(property)]
    async fn release(&self) -> String {
        self.reader.status().release
    }

    #[zbus(property)]
    async fn desired(&self) -> u32 {
        self.reader.status().desired
    }

    #[zbus(property)]
    async fn ready(&self) -> u32 {
        self.reader.status().ready
    }

    #[zbus(signal)]
    async fn rollout_changed(emitter: &SignalEmitter<'_>, rollout: api::Rollout) -> zbus::Result<()>;
}

/// How long a call to systemd may take before it counts as unanswered.
const METHOD_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects to the system bus and serves the object, under no name yet.
pub(crate) async fn connect(
    inputs: UnboundedSender<Input>,
    stage: Stage,
    reader: Reader,
) -> anyhow::Result<Connection> {
    zbus::connection::Builder::system()
        .method_timeout(METHOD_TIMEOUT)
        .serve_at(api::PATH, Service { inputs, stage, reader })
        .build()
        .await
        .context("failed to connect to the system bus")
}

/// Takes the name by which clients find us.
pub(crate) async fn take_name(connection: &Connection) -> anyhow::Result<()> {
    connection
        .request_name(api::BUS_NAME)
        .await
        .with_context(|| format!("failed to take the name {}", api::BUS_NAME))
}

/// Tells everybody where the rollout is.
pub(crate) async fn announce(connection: &Connection, rollout: api::Rollout) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(connection, api::PATH)?;
    Service::rollout_changed(&emitter, rollout).await
}

/// The properties that announce their changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) summary: String,
    pub(crate) release: String,
    pub(crate) desired: u32,
    pub(crate) ready: u32,
}

/// Announces which properties have changed, with their values.
pub(crate) async fn announce_properties(
    connection: &Connection,
    before: &Properties,
    now: &Properties,
) -> zbus::Result<()> {
    let mut changed: HashMap<&str, zbus::Variant<'_>> = HashMap::new();
    if before.summary != now.summary {
        changed.insert("Summary", now.summary.as_str().into());
    }
    if before.release != now.release {
        changed.insert("Release", now.release.as_str().into());
    }
    if before.desired != now.desired {
        changed.insert("Desired", now.desired.into());
    }
    if before.ready != now.ready {
        changed.insert("Ready", now.ready.into());
    }
    let emitter = SignalEmitter::new(connection, api::PATH)?;
    let interface = InterfaceName::from_static_str(api::BUS_NAME)?;
    fdo::Properties::properties_changed(&emitter, interface, changed, Vec::new().into()).await
}
