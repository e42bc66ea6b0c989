//! One worker: the state of its unit, its job, its process.

use std::time::Duration;

use rollout::unit::ActiveState;

use super::job::Job;

/// Whose doing it is that a worker is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    No,
    /// The orchestrator had it stopped or restarted, and what it asked for goes on.
    Ours,
    /// It crashed, ended, did not start, was stopped by a person, or never ran.
    World,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Inactive,
    Failed,
    Starting,
    Active,
    Stopping,
    AutoRestart,
}

/// One worker.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(super) phase: Phase,
    pub(super) job: Option<Job>,
    pub(super) invocation: u64,
    pub(super) restarts: u32,
    /// A count that the next start sets back.
    pub(super) is_flushed: bool,
    pub(crate) epoch: u64,
    /// What the process executes, or the last one did.
    pub(crate) release: usize,
    /// When the process was started.
    pub(crate) started: u64,
    pub(super) ready: u64,
    pub(super) stalled: Option<u64>,
    /// The process answers with errors, and is fine otherwise.
    pub(crate) errs: bool,
    pub(crate) missing: Missing,
}

impl Service {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Inactive,
            job: None,
            invocation: 0,
            restarts: 0,
            is_flushed: false,
            epoch: 0,
            release: 0,
            started: 0,
            ready: 0,
            stalled: None,
            errs: false,
            missing: Missing::World,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    pub(crate) fn is_inactive(&self) -> bool {
        self.phase == Phase::Inactive && self.job.is_none()
    }

    /// Whether there is a process that goes on to run.
    pub(crate) fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Active)
    }

    pub(crate) fn invocation(&self) -> u64 {
        self.invocation
    }

    pub(crate) fn has_been_ready_for(&self, time: Duration, now: u64) -> bool {
        self.is_active() && Duration::from_millis(now - self.ready) >= time
    }

    pub(super) fn active_state(&self) -> ActiveState {
        match self.phase {
            Phase::Inactive => ActiveState::Inactive,
            Phase::Failed => ActiveState::Failed,
            Phase::Starting | Phase::AutoRestart => ActiveState::Activating,
            Phase::Active => ActiveState::Active,
            Phase::Stopping => ActiveState::Deactivating,
        }
    }
}
