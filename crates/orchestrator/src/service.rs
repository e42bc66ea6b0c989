//! The object `org.appcluster1` on the bus. It answers a call that only reads from the last published state.
//! The cluster itself answers a call that acts.
//!
//! The policy of the bus decides which user may call which method
//! (`/usr/share/dbus-1/system.d/org.appcluster1.conf`).
//!
//! - [`callers`]: the calls that wait for an answer, and their limit.
//! - [`interface`]: the members, including those of 1.0.
//! - [`publisher`]: the connection on which the object is served, and its signals.
//! - [`wire`]: converts the cluster's state to the types of the interface.

mod callers;
mod interface;
mod publisher;
pub(crate) mod wire;

use api::Options;
use cluster::input::{Input, Reply, Request};
use cluster::order::{Order, Target};
use cluster::release::ReleaseId;
use tokio::sync::mpsc::UnboundedSender;
use zbus::message::Header;

use self::callers::Seat;
use crate::releases::{Staged, taken};
use crate::snapshot::Reader;
use crate::stage::{Program, Stage};
pub(crate) use callers::Callers;
pub(crate) use publisher::Publisher;

/// The object that is served.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    inputs: UnboundedSender<Input>,
    callers: Callers,
    stage: Stage,
    reader: Reader,
}

impl Service {
    pub(crate) fn new(
        inputs: UnboundedSender<Input>,
        callers: Callers,
        stage: Stage,
        reader: Reader,
    ) -> Self {
        Self { inputs, callers, stage, reader }
    }

    /// Takes a seat, which a call that acts needs while it waits.
    fn seat(&self, header: &Header<'_>) -> Result<Seat, api::Error> {
        self.callers.seat(header.sender().map_or("", |sender| sender.as_str()))
    }

    /// Passes a request to the cluster and waits for the reply. `pick` extracts the expected value.
    async fn request<T>(
        &self,
        request: Request,
        pick: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<T, api::Error> {
        let gone = || api::Error::ShuttingDown("the orchestrator is stopping".to_owned());
        let (caller, reply) = self.callers.wait();
        self.inputs.send(Input::Request(caller, request)).map_err(|_| gone())?;
        let reply = reply.await.map_err(|_| gone())?.map_err(wire::error)?;
        pick(reply)
            .ok_or_else(|| api::Error::Refused("the orchestrator gave an unexpected answer".to_owned()))
    }

    async fn roll(&self, target: Target, canary: Option<u32>, by: String) -> Result<u64, api::Error> {
        let order = Order { target, canary, by };
        let id = |reply| match reply {
            Reply::Rollout(id) => Some(id),
            _ => None,
        };
        self.request(Request::Roll(order), id).await
    }

    async fn is(&self, request: Request) -> Result<bool, api::Error> {
        let is = |reply| match reply {
            Reply::Is(is) => Some(is),
            _ => None,
        };
        self.request(request, is).await
    }

    async fn done(&self, request: Request) -> Result<(), api::Error> {
        self.request(request, |reply| (reply == Reply::Done).then_some(())).await
    }

    async fn reload_with(&self, header: &Header<'_>, options: Options) -> Result<u64, api::Error> {
        let _seat = self.seat(header)?;
        self.roll(Target::Reload, None, options.by).await
    }

    async fn roll_back_with(&self, header: &Header<'_>, options: Options) -> Result<u64, api::Error> {
        let _seat = self.seat(header)?;
        self.roll(Target::Rollback(release_id(&options.id)?), None, options.by).await
    }

    async fn deploy_with(
        &self,
        header: &Header<'_>,
        program: Program,
        options: Options,
    ) -> Result<u64, api::Error> {
        let _seat = self.seat(header)?;
        let Options { id, canary, by } = options;
        let id = release_id(&id)?;
        let _turn = self.stage.turn().await;
        let replaces = match id.clone() {
            Some(id) => {
                let (is_rejected, is_deployed) = self.stage.look_at(id.clone()).await?;
                self.is(Request::MayReplace { id, is_rejected, is_deployed }).await?
            }
            None => false,
        };
        let release = match self.stage.add(program, id, replaces).await? {
            Staged::New(release) => release,
            Staged::There(release) => {
                return match self.is(Request::IsInPlace(release.clone())).await? {
                    true => Ok(api::UNCHANGED),
                    false => Err(api::Error::Refused(taken(&release))),
                };
            }
        };
        let begun = self.roll(Target::Deploy(release.clone()), (canary > 0).then_some(canary), by).await;
        if begun.is_err() {
            // The name must be free, so that the operator can fix the problem and deploy it under the same
            // name.
            self.stage.take_back(release).await;
        }
        begun
    }
}

/// Parses an id. `None` if it is empty, so that the orchestrator chooses one.
fn release_id(id: &str) -> Result<Option<ReleaseId>, api::Error> {
    if id.is_empty() {
        return Ok(None);
    }
    let refused = || {
        api::Error::Refused(format!(
            "`{id}` cannot name a release; use at most 100 letters, digits and `.+~_-`, with no dot or dash first"
        ))
    };
    ReleaseId::new(id).map(Some).ok_or_else(refused)
}
