//! What outlives the orchestrator.

use std::collections::BTreeSet;

/// What the ledger says of a rollout under way.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// When it began, in ms.
    pub(crate) begun: u64,
    pub(crate) is_restoring: bool,
    /// For the judge: who served when it began.
    pub(crate) served: BTreeSet<u32>,
    /// For the judge: an orchestrator died during it.
    pub(crate) was_interrupted: bool,
}

/// What outlives the orchestrator.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) entry: Option<Entry>,
    pub(crate) held: BTreeSet<u32>,
    pub(crate) desired: u32,
}

impl Disk {
    pub(crate) fn new(desired: u32) -> Self {
        Self { entry: None, held: BTreeSet::new(), desired }
    }
}
