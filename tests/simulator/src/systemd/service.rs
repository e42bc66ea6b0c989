//! The unit of one worker: its state, its job, its process.

use cluster::unit::ActiveState;

use super::job::Job;

/// Why a worker is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    No,
    /// The orchestrator had it stopped or restarted, and that still goes on.
    Ours,
    /// It crashed, ended, did not start, was stopped by an operator, or never ran.
    World,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Inactive,
    Failed,
    Starting,
    Active,
    /// It was asked to end, or is being killed.
    Stopping,
    AutoRestart,
}

/// How a process ended: `si_code`, status, and systemd's `Result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) status: i32,
    pub(crate) result: &'static str,
}

/// The unit of one worker. Times are in us of the world, and 0 means none.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) phase: Phase,
    pub(crate) job: Option<Job>,
    pub(crate) invocation: u64,
    pub(crate) restarts: u32,
    /// The next start resets the restart count.
    pub(crate) is_flushed: bool,
    pub(crate) epoch: u32,
    pub(crate) pid: u32,
    /// The release that the process executes, or the last one did.
    pub(crate) release: Option<usize>,
    pub(crate) started: u64,
    pub(crate) exited: u64,
    pub(crate) active: u64,
    pub(crate) inactive: u64,
    pub(crate) stalled: Option<u64>,
    /// Why systemd ends it, if no job asked for that.
    pub(crate) killed_for: Option<&'static str>,
    pub(crate) exit: Exit,
    /// The process answers with errors, and is otherwise good.
    pub(crate) errs: bool,
    /// The process accepts no connection, and is otherwise good.
    pub(crate) is_deaf: bool,
    /// The process asks to be replaced.
    pub(crate) asks: bool,
    /// Something has changed that systemd has yet to signal.
    pub(crate) is_dirty: bool,
    pub(crate) missing: Missing,
}

impl Exit {
    pub(crate) const NONE: Self = Self { code: 0, status: 0, result: "success" };
    pub(crate) const ZERO: Self = Self { code: 1, status: 0, result: "success" };
    pub(crate) const CRASH: Self = Self { code: 2, status: 11, result: "signal" };
    pub(crate) const UNSTARTABLE: Self = Self { code: 1, status: 78, result: "exit-code" };
    pub(crate) const NO_PROGRAM: Self = Self { code: 1, status: 203, result: "exit-code" };
    pub(crate) const FAILED: Self = Self { code: 1, status: 1, result: "exit-code" };
}

impl Default for Service {
    fn default() -> Self {
        Self {
            phase: Phase::Inactive,
            job: None,
            invocation: 0,
            restarts: 0,
            is_flushed: false,
            epoch: 0,
            pid: 0,
            release: None,
            started: 0,
            exited: 0,
            active: 0,
            inactive: 0,
            stalled: None,
            killed_for: None,
            exit: Exit::NONE,
            errs: false,
            is_deaf: false,
            asks: false,
            is_dirty: false,
            missing: Missing::World,
        }
    }
}

impl Service {
    pub(crate) fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Whether there is neither a process nor a job nor a pending restart.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Inactive | Phase::Failed) && self.job.is_none()
    }

    /// Whether there is a process, and it is not ending.
    pub(crate) fn has_process(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Active)
    }

    pub(crate) fn has_been_ready_for(&self, time: u64, now: u64) -> bool {
        self.is_active() && now - self.active >= time
    }

    pub(crate) fn active_state(&self) -> ActiveState {
        match self.phase {
            Phase::Inactive => ActiveState::Inactive,
            Phase::Failed => ActiveState::Failed,
            Phase::Starting | Phase::AutoRestart => ActiveState::Activating,
            Phase::Active => ActiveState::Active,
            Phase::Stopping => ActiveState::Deactivating,
        }
    }

    pub(crate) fn sub_state(&self) -> &'static str {
        match self.phase {
            Phase::Inactive => "dead",
            Phase::Failed => "failed",
            Phase::Starting => "start",
            Phase::AutoRestart => "auto-restart",
            Phase::Active => "running",
            Phase::Stopping if self.killed_for == Some("watchdog") => "stop-watchdog",
            Phase::Stopping => "stop-sigterm",
        }
    }
}
