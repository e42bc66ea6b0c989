//! What systemd tells unasked: which signals are asked for, and what is made of them.

use futures_util::StreamExt as _;
use rollout::{Instance, JobResult};
use tokio::sync::mpsc::UnboundedSender;
use zbus::message::Type as MessageType;
use zbus::{MatchRule, Message, MessageStream, OwnedObjectPath};

use super::{SYSTEMD, Sequence, unit_name};
use crate::names::Names;
use crate::unit_info::Properties;

/// What systemd tells unasked.
#[derive(Debug)]
pub(crate) enum Signal {
    /// A job ended.
    JobRemoved { job: String, result: JobResult },
    /// Some of a worker's properties changed.
    Changed { instance: Instance, properties: Properties, at: Sequence },
    /// PID 1 has read the unit files anew.
    Reloaded,
    /// PID 1 executed itself anew and has another name on the bus; signals may have been missed.
    Reexecuted,
    /// The bus is gone.
    Disconnected,
}

pub(super) fn manager_signal(member: &'static str) -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(MessageType::Signal)
        .sender(SYSTEMD)
        .interface("org.freedesktop.systemd1.Manager")
        .member(member)
        .build()
}

pub(super) fn owner_changes() -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(MessageType::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .arg(0, SYSTEMD)
        .build()
}

/// Takes signals from the bus, in order, and drops what PID 1 did not send: on the system bus anybody may
/// send us a signal that looks like one of its own.
pub(super) async fn pump<T: From<Signal>>(
    mut stream: MessageStream,
    names: Names,
    mut systemd: String,
    sink: UnboundedSender<T>,
) {
    while let Some(Ok(message)) = stream.next().await {
        let signal = match new_owner(&message) {
            Some(owner) if owner.is_empty() => None,
            Some(owner) => {
                systemd = owner;
                Some(Signal::Reexecuted)
            }
            None => parse(&message, &names, &systemd),
        };
        if signal.is_some_and(|signal| sink.send(signal.into()).is_err()) {
            return;
        }
    }
    // The driver may have ended, too.
    let _ = sink.send(Signal::Disconnected.into());
}

fn new_owner(message: &Message) -> Option<String> {
    let header = message.header();
    let is_ours = message.message_type() == MessageType::Signal
        && header.sender()? == "org.freedesktop.DBus"
        && header.member()? == "NameOwnerChanged";
    let (name, _, owner): (String, String, String) = is_ours.then(|| message.body().deserialize().ok())??;
    (name == SYSTEMD).then_some(owner)
}

fn parse(message: &Message, names: &Names, systemd: &str) -> Option<Signal> {
    let header = message.header();
    if message.message_type() != MessageType::Signal || header.sender()?.as_str() != systemd {
        return None;
    }
    match header.member()?.as_str() {
        "JobRemoved" => {
            let (_, job, _, result): (u32, OwnedObjectPath, String, String) =
                message.body().deserialize().ok()?;
            Some(Signal::JobRemoved { job: job.to_string(), result: JobResult::parse(&result) })
        }
        "Reloading" => {
            let is_begin: bool = message.body().deserialize().ok()?;
            (!is_begin).then_some(Signal::Reloaded)
        }
        "PropertiesChanged" => {
            let instance = names.instance(&unit_name(header.path()?.as_str())?)?;
            let (_, properties, _): (String, Properties, Vec<String>) = message.body().deserialize().ok()?;
            Some(Signal::Changed { instance, properties, at: message.recv_position() })
        }
        _ => None,
    }
}
