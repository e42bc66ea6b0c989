//! `org.appcluster1` on the bus: every call becomes a [`Request`] to the driver, which answers it.
//!
//! Who may call what is the bus's own policy (`/usr/share/dbus-1/system.d/org.appcluster1.conf`).

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use zbus::Connection;
use zbus::object_server::SignalEmitter;

use crate::driver::Input;

/// A call and where its answer goes.
#[derive(Debug)]
pub(crate) enum Request {
    Status(oneshot::Sender<api::Status>),
    Reload(oneshot::Sender<Result<u64, api::Error>>),
    Reconfigure(oneshot::Sender<Result<u32, api::Error>>),
    Abort(oneshot::Sender<()>),
}

/// The object that is served.
#[derive(Debug)]
pub(crate) struct Service {
    inputs: UnboundedSender<Input>,
}

impl Service {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, api::Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || api::Error::ShuttingDown("the orchestrator is stopping".to_owned());
        self.inputs.send(Input::Request(request(reply))).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

#[zbus::interface(name = "org.appcluster1")]
impl Service {
    async fn status(&self) -> Result<api::Status, api::Error> {
        self.ask(Request::Status).await
    }

    async fn reload(&self) -> Result<u64, api::Error> {
        self.ask(Request::Reload).await?
    }

    async fn reconfigure(&self) -> Result<u32, api::Error> {
        self.ask(Request::Reconfigure).await?
    }

    async fn abort(&self) -> Result<(), api::Error> {
        self.ask(Request::Abort).await
    }

    #[zbus(signal)]
    async fn rollout_changed(emitter: &SignalEmitter<'_>, rollout: api::Rollout) -> zbus::Result<()>;
}

/// How long a call to systemd may take before it counts as unanswered.
const METHOD_TIMEOUT: Duration = Duration::from_secs(20);

/// Connects to the system bus and serves the object, under no name yet.
pub(crate) async fn connect(inputs: UnboundedSender<Input>) -> anyhow::Result<Connection> {
    zbus::connection::Builder::system()
        .method_timeout(METHOD_TIMEOUT)
        .serve_at(api::PATH, Service { inputs })
        .build()
        .await
        .context("failed to connect to the system bus")
}

/// Takes the name by which clients find us. The last thing to do: whoever finds us is answered.
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
