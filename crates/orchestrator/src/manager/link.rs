//! The connection to the bus. It is used only after it has subscribed to all signals.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream};

use super::{ALREADY_SUBSCRIBED, MANAGER_INTERFACE, MANAGER_PATH, PATIENCE, SYSTEMD, signals};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// A connection that receives systemd's signals. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Link {
    /// All messages that arrive, in order.
    pub(super) stream: MessageStream,
    /// systemd's unique name on the bus. Signals of other senders are ignored.
    pub(super) systemd: String,
    outgoing: UnboundedSender<Message>,
    _writer: JoinSet<()>,
}

/// The questions that must be answered before the connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Signals,
    Owner,
    Subscription,
}

impl Link {
    /// Connects and subscribes to all signals.
    pub(super) async fn open() -> anyhow::Result<Self> {
        let opened = timeout(PATIENCE, Self::connect()).await;
        opened.context("the system bus does not answer").flatten()
    }

    async fn connect() -> anyhow::Result<Self> {
        let connection = zbus::connection::Builder::system().build().await;
        let connection = connection.context("failed to connect to the system bus")?;
        let mut stream = MessageStream::from(&connection);
        let mut asked = BTreeMap::new();
        for (what, message) in questions()? {
            asked.insert(message.primary_header().serial_num(), what);
            connection.send(&message).await.context("failed to subscribe to systemd's signals")?;
        }
        let systemd = listen(&mut stream, asked).await.context("failed to subscribe to systemd's signals")?;
        let (outgoing, queue) = unbounded_channel();
        let mut writer = JoinSet::new();
        writer.spawn(write(connection, queue));
        Ok(Self { stream, systemd, outgoing, _writer: writer })
    }

    /// Sends a message after the earlier ones. If that fails, the connection is about to end.
    pub(super) fn send(&self, message: Message) {
        let _ = self.outgoing.send(message);
    }
}

/// Writes in a task of its own: if the bus does not read, the orchestrator must still receive.
async fn write(connection: Connection, mut queue: UnboundedReceiver<Message>) {
    while let Some(message) = queue.recv().await {
        if connection.send(&message).await.is_err() {
            return;
        }
    }
}

/// The first messages of a connection. The match rules come first. systemd's name comes before the
/// subscription, so that it is known which systemd received the subscription.
fn questions() -> zbus::Result<Vec<(Asked, Message)>> {
    let of_bus = |member| Message::method_call(BUS_PATH, member).destination(BUS).interface(BUS);
    let mut questions = Vec::new();
    for rule in signals::rules()? {
        questions.push((Asked::Signals, of_bus("AddMatch").build(&rule.to_string())?));
    }
    questions.push((Asked::Owner, of_bus("GetNameOwner").build(&SYSTEMD)?));
    questions.push((Asked::Subscription, subscribe()?));
    Ok(questions)
}

/// Subscribes to systemd's signals. Without a subscription, systemd sends none.
pub(super) fn subscribe() -> zbus::Result<Message> {
    Message::method_call(MANAGER_PATH, "Subscribe")
        .destination(SYSTEMD)
        .interface(MANAGER_INTERFACE)
        .build(&())
}

/// Waits until all questions are answered. Returns systemd's name on the bus.
async fn listen(
    stream: &mut MessageStream,
    mut asked: BTreeMap<NonZeroU32, Asked>,
) -> anyhow::Result<String> {
    let mut owner = None;
    while !asked.is_empty() {
        let message = stream.next().await.context("the bus has closed the connection")??;
        if owner.is_some() && signals::new_owner(&message).is_some() {
            bail!("systemd is re-executing itself");
        }
        let Some(what) = message.header().reply_serial().and_then(|serial| asked.remove(&serial)) else {
            continue;
        };
        match message.message_type() {
            Type::Error if what == Asked::Subscription && is_subscribed_already(&message) => {}
            Type::Error => return Err(zbus::Error::from(message).into()),
            _ if what == Asked::Owner => owner = Some(message.body().deserialize()?),
            _ => {}
        }
    }
    owner.context("the bus does not know systemd")
}

/// Whether systemd refuses a subscription because there already is one.
pub(super) fn is_subscribed_already(error: &Message) -> bool {
    error.header().error_name().is_some_and(|name| name == ALREADY_SUBSCRIBED)
}
