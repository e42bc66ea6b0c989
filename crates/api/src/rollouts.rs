//! The steps of rollouts, as the orchestrator signals them.

use futures_util::StreamExt;
use zbus::Message;
use zbus::names::OwnedUniqueName;
use zbus::proxy::SignalStream;

use crate::{Dictionary, Rollout, positional};

/// A stream of every step of every rollout.
///
/// An orchestrator signals each step twice: with `RolloutProgress`, and then with `RolloutChanged` for
/// clients of 1.0. An orchestrator of 1.0 sends only `RolloutChanged`. So this type reads `RolloutChanged`
/// from a sender until that sender has sent `RolloutProgress`.
#[derive(Debug)]
pub struct Rollouts {
    /// The signals of all members. One stream keeps the order in which they were sent.
    signals: SignalStream<'static>,
    /// The last sender of `RolloutProgress`.
    progresses: Option<OwnedUniqueName>,
}

impl Rollouts {
    pub(crate) fn new(signals: SignalStream<'static>) -> Self {
        Self { signals, progresses: None }
    }

    /// Waits for the next step. Returns `None` if the bus is gone. Dropping the future at any moment loses no
    /// step.
    pub async fn next(&mut self) -> Option<Rollout> {
        loop {
            let message = self.signals.next().await?;
            if let Some(rollout) = self.read(&message) {
                return Some(rollout);
            }
        }
    }

    /// The rollout in a signal, unless an earlier signal carried the same step.
    fn read(&mut self, message: &Message) -> Option<Rollout> {
        let header = message.header();
        match header.member()?.as_str() {
            "RolloutProgress" => {
                self.progresses = header.sender().map(|sender| sender.to_owned().into());
                let rollout: Dictionary = message.body().deserialize().ok()?;
                Some(rollout.into())
            }
            "RolloutChanged" if self.progresses.as_deref() != header.sender() => {
                let rollout: positional::Rollout = message.body().deserialize().ok()?;
                Some(rollout.into())
            }
            _ => None,
        }
    }
}
