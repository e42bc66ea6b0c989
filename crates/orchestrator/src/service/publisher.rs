//! The connection on which the object is served, and its signals. It is separate from the connection to
//! systemd, and does not end with it: messages of clients must not delay messages of systemd.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use cluster::view;
use names::Names;
use sd_notify::NotifyState;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use zbus::names::InterfaceName;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, fdo};

use super::{Service, wire};
use crate::runtime::notify;

/// How long the bus may take to answer.
const METHOD_TIMEOUT: Duration = Duration::from_secs(20);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A message to the publishing task.
#[derive(Debug)]
enum News {
    /// Take the bus name.
    Serve,
    /// Notify systemd that the orchestrator is ready.
    Ready,
    Rollout(Box<api::Rollout>),
    Properties(view::Properties),
}

/// Passes news to the task that publishes them.
#[derive(Debug)]
pub(crate) struct Publisher {
    names: Names,
    news: UnboundedSender<News>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Connects, and reconnects whenever the connection ends. The object has no bus name yet.
    ///
    /// After a reconnect it takes the name only when `can_act` is true: a caller that finds the object
    /// expects that it can act.
    pub(crate) fn start(names: Names, service: Service, can_act: watch::Receiver<bool>) -> Self {
        let (news, queue) = unbounded_channel();
        let announced = view::Properties::default();
        let teller = Teller { service, queue, can_act, is_serving: false, announced };
        Self { names, news, task: tokio::spawn(teller.run()) }
    }

    /// Takes the bus name, so that callers find the object.
    pub(crate) fn serve(&self) {
        self.tell(News::Serve);
    }

    /// Notifies systemd that the orchestrator is ready (sd_notify(3)), once callers find the object. Units
    /// that start after it rely on this.
    pub(crate) fn ready(&self) {
        self.tell(News::Ready);
    }

    /// Signals the state of a rollout to clients.
    pub(crate) fn announce(&self, rollout: &view::Rollout) {
        self.tell(News::Rollout(Box::new(wire::rollout(&self.names, rollout))));
    }

    /// Signals the changed properties to clients.
    pub(crate) fn announce_properties(&self, properties: view::Properties) {
        self.tell(News::Properties(properties));
    }

    /// Publishes the remaining news, and leaves the bus. The bus may take a second for that. Until the name
    /// is gone, callers get the answer that the orchestrator is stopping.
    pub(crate) async fn end(self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let Self { news, mut task, .. } = self;
        drop(news);
        if timeout(PATIENCE, &mut task).await.is_err() {
            task.abort();
        }
    }

    fn tell(&self, news: News) {
        // The task runs as long as this object exists, so this cannot fail.
        let _ = self.news.send(news);
    }
}

/// The task that publishes to clients.
#[derive(Debug)]
struct Teller {
    service: Service,
    queue: UnboundedReceiver<News>,
    can_act: watch::Receiver<bool>,
    is_serving: bool,
    /// The properties that clients know.
    announced: view::Properties,
}

impl Teller {
    async fn run(mut self) {
        loop {
            let connection = self.connect().await;
            if let Err(error) = self.tell(&connection).await {
                tracing::warn!("{error:#}; connecting again");
            } else if self.queue.is_closed() {
                // An error means that the connection has already ended.
                let _ = connection.close().await;
                return;
            }
        }
    }

    /// Connects, however long it takes.
    async fn connect(&self) -> Connection {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.try_connect().await {
                Ok(connection) => return connection,
                Err(error) if pause == FIRST_PAUSE => {
                    tracing::warn!("{error:#}; clients get no answer for now, trying again");
                }
                Err(_) => {}
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn try_connect(&self) -> anyhow::Result<Connection> {
        let connection = zbus::connection::Builder::system()
            .method_timeout(METHOD_TIMEOUT)
            .serve_at(api::PATH, self.service.clone())
            .build()
            .await
            .context("failed to connect to the system bus")?;
        if self.is_serving {
            // An error means that the orchestrator has ended.
            let _ = self.can_act.clone().wait_for(|can_act| *can_act).await;
            take_name(&connection).await?;
        }
        Ok(connection)
    }

    /// Publishes news until the connection or the queue ends.
    async fn tell(&mut self, connection: &Connection) -> anyhow::Result<()> {
        loop {
            let news = tokio::select! {
                news = self.queue.recv() => news,
                () = connection.closed() => return Ok(()),
            };
            let told = match news {
                None => return Ok(()),
                Some(News::Serve) => {
                    self.is_serving = true;
                    take_name(connection).await?;
                    continue;
                }
                Some(News::Ready) => {
                    notify(&[NotifyState::Ready]);
                    continue;
                }
                Some(News::Rollout(rollout)) => announce(connection, *rollout).await,
                Some(News::Properties(now)) => {
                    let before = std::mem::replace(&mut self.announced, now.clone());
                    announce_properties(connection, &before, &now).await
                }
            };
            told.context("failed to send signals to clients")?;
        }
    }
}

/// Takes the bus name by which clients find the object.
async fn take_name(connection: &Connection) -> anyhow::Result<()> {
    let taken = connection.request_name(api::BUS_NAME).await;
    taken.with_context(|| format!("failed to take the name {}", api::BUS_NAME))
}

/// Sends both signals of a rollout. Clients of 1.0 know only the second. Newer clients ignore it once they
/// have received the first.
async fn announce(connection: &Connection, rollout: api::Rollout) -> zbus::Result<()> {
    let emitter = SignalEmitter::new(connection, api::PATH)?;
    Service::rollout_progress(&emitter, rollout.clone().into()).await?;
    Service::rollout_changed(&emitter, rollout.into()).await
}

/// Announces which properties have changed, with their values.
async fn announce_properties(
    connection: &Connection,
    before: &view::Properties,
    now: &view::Properties,
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
    if changed.is_empty() {
        return Ok(());
    }
    let emitter = SignalEmitter::new(connection, api::PATH)?;
    let interface = InterfaceName::from_static_str(api::BUS_NAME)?;
    fdo::Properties::properties_changed(&emitter, interface, changed, Vec::new().into()).await
}
