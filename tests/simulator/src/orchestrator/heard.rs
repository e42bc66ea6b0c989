//! What the orchestrator can know of the workers, from what has reached it.

use cluster::info::{Change, UnitInfo};
use cluster::unit::{ActiveState, InvocationId};
use names::Instance;

use super::Orchestrator;

/// A worker, as the orchestrator last heard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) active: Option<ActiveState>,
    pub(crate) invocation: Option<InvocationId>,
    /// The time from when it became active to when it last fed its watchdog, in us.
    pub(crate) fed_after: u64,
}

impl Heard {
    pub(crate) fn is_active(&self) -> bool {
        self.active == Some(ActiveState::Active)
    }

    /// Whether it does not run, or the orchestrator has heard nothing of it.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.active, None | Some(ActiveState::Inactive | ActiveState::Failed))
    }

    pub(crate) fn is_inactive(&self) -> bool {
        self.active == Some(ActiveState::Inactive)
    }
}

impl Orchestrator {
    /// What the orchestrator can know of a worker.
    pub(crate) fn heard(&self, worker: u32) -> Heard {
        self.heard.get(worker as usize).copied().unwrap_or_default()
    }

    pub(crate) fn hear_change(&mut self, instance: Instance, change: &Change) {
        if let Some(heard) = self.heard.get_mut(instance.number() as usize) {
            heard.active = change.active.or(heard.active);
            heard.invocation = change.invocation.unwrap_or(heard.invocation);
        }
    }

    pub(crate) fn hear_info(&mut self, instance: Instance, info: &UnitInfo) {
        if let Some(heard) = self.heard.get_mut(instance.number() as usize) {
            heard.active = Some(info.active);
            heard.invocation = info.invocation;
            heard.fed_after = info.fed_usec.saturating_sub(info.active_usec);
        }
    }
}
