//! What the orchestrator has to know before a rollout begins.

use std::collections::BTreeMap;

use names::Instance;

use crate::effect::Token;
use crate::history::Entry;
use crate::input::{Caller, SocketState, Survey};
use crate::moment::Moment;
use crate::order::{Order, Target};
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
    /// When clients and the log are told what it waits for. `None` once they know of it.
    pub(crate) told_at: Option<Moment>,
    pub(crate) step: Step,
}

impl Preparing {
    /// Whether clients know of it.
    pub(crate) fn is_told(&self) -> bool {
        self.told_at.is_none()
    }

    /// What it waits for, as a phrase.
    pub(crate) fn awaited(&self) -> &'static str {
        match &self.step {
            Step::Configuring(_) => "the configuration has not been read yet",
            Step::Asking(asked) if asked.survey_token.is_some() => "the disk has not answered yet",
            Step::Asking(_) => "systemd has not described the units yet",
            Step::Probing(..) => {
                "systemd has not said yet whether the orchestrator may stop workers; it asks polkit"
            }
            Step::Trying(..) | Step::Writing(..) => "the disk has not taken the ledger and the history yet",
        }
    }

    /// The release of the rollout, if it is known.
    pub(crate) fn release(&self) -> Option<&crate::release::ReleaseId> {
        match &self.purpose {
            Purpose::Order(order, _) => match &order.target {
                Target::Deploy(id) | Target::Undo(id) | Target::Rollback(Some(id)) => Some(id),
                Target::Reload | Target::Rollback(None) | Target::Recycle(_) => None,
            },
            Purpose::Resume(entry) => entry.to.as_ref(),
        }
    }
}
