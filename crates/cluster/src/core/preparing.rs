//! What the orchestrator has to know before a rollout begins.

use std::collections::BTreeMap;

use names::Instance;

use crate::effect::Token;
use crate::history::Entry;
use crate::input::{Caller, SocketState, Survey};
use crate::order::Order;
use crate::settings::Settings;

/// Where a rollout comes from.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// It was requested. The caller, if there is one, gets a reply when it begins or is refused. All other
    /// clients get an announcement.
    Order(Order, Option<Caller>),
    /// A predecessor began it.
    Resume(Box<Entry>),
}

/// How far the preparation is.
#[derive(Debug)]
pub(crate) enum Step {
    /// The configuration is being read.
    Configuring(Token),
    /// systemd and the disk have to answer.
    Asking(Box<Asked>),
    /// systemd has to answer the probe, which changes nothing.
    Probing(Token, Box<super::active::Plan>, Box<Survey>),
    /// The ledger is being written. If that fails, no worker could be linked to a release.
    Trying(Token, Box<super::active::Plan>, String),
    /// The history is being written.
    Writing(Token, Box<super::active::Plan>),
}

/// The questions, and the answers so far.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The workers that are being inspected.
    pub(crate) inspections: BTreeMap<Token, Instance>,
    pub(crate) socket_token: Option<Token>,
    pub(crate) survey_token: Option<Token>,
    pub(crate) failed_read: Option<String>,
    pub(crate) socket: Option<Result<SocketState, String>>,
    pub(crate) survey: Option<Result<Box<Survey>, String>>,
}

impl Asked {
    /// Whether all questions are answered.
    pub(crate) fn is_complete(&self) -> bool {
        let tokens = [self.socket_token, self.survey_token];
        self.inspections.is_empty() && tokens.iter().all(Option::is_none)
    }
}

/// A rollout that may begin.
#[derive(Debug)]
pub(crate) struct Preparing {
    pub(crate) id: u64,
    pub(crate) purpose: Purpose,
    /// How many callers wait for it, if it was in the queue.
    pub(crate) callers: u32,
    /// The settings that take effect when it begins.
    pub(crate) settings: Settings,
    pub(crate) step: Step,
}

impl Preparing {
    /// The release of the rollout, if it is known.
    pub(crate) fn release(&self) -> Option<&crate::release::ReleaseId> {
        use crate::order::Target;
        match &self.purpose {
            Purpose::Order(order, _) => match &order.target {
                Target::Deploy(id) | Target::Undo(id) | Target::Rollback(Some(id)) => Some(id),
                Target::Reload | Target::Rollback(None) | Target::Recycle(_) => None,
            },
            Purpose::Resume(entry) => entry.to.as_ref(),
        }
    }
}
