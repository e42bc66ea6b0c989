//! What systemd says of one worker's unit, kept up to date by its signals.

use std::time::Duration;

use crate::unit::{ActiveState, InvocationId, JobId, Unit};

/// The properties of a worker's unit that a decision or a reader needs (org.freedesktop.systemd1(5)).
///
/// Times are microseconds of CLOCK_MONOTONIC, unless the field says otherwise. 0 means none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitInfo {
    /// `ActiveState`.
    pub active: ActiveState,
    /// `SubState`.
    pub sub_state: String,
    /// `InvocationID`.
    pub invocation: Option<InvocationId>,
    /// The job that waits or runs for the unit.
    pub job: Option<JobId>,
    /// `NRestarts`.
    pub restarts: u32,
    /// `MainPID`; 0 if there is no process.
    pub main_pid: u32,
    /// `ConditionTimestampMonotonic`: when systemd last began to start the unit.
    pub begun_usec: u64,
    /// `ExecMainStartTimestampMonotonic`.
    pub started_usec: u64,
    /// `ActiveEnterTimestamp`, since the Unix epoch.
    pub active_since_usec: u64,
    /// `ActiveEnterTimestampMonotonic`.
    pub active_usec: u64,
    /// `ActiveExitTimestampMonotonic`: when the unit was last active.
    pub inactive_usec: u64,
    /// `WatchdogTimestampMonotonic`. Becoming active sets it, too. systemd sends no signal for it.
    pub fed_usec: u64,
    /// `WatchdogUSec`; 0 and `u64::MAX` mean no watchdog.
    pub watchdog_usec: u64,
    /// `TimeoutStartUSec`.
    pub start_timeout_usec: u64,
    /// `TimeoutStopUSec`.
    pub stop_timeout_usec: u64,
    /// `ExecMainCode`: `si_code` of SIGCHLD (sigaction(2)); 0 while the process runs.
    pub exit_code: i32,
    /// `ExecMainStatus`.
    pub exit_status: i32,
    /// `Result`.
    pub result: String,
    /// Why the process asks to be replaced (`STATUS=recycle: …`), if it does.
    pub asks: Option<String>,
    /// How many connections the process closed by force at the end of its drain (`STATUS=drained …`).
    pub cut: u32,
    /// `LoadState`.
    pub load_state: String,
    /// `NeedDaemonReload`.
    pub needs_daemon_reload: bool,
    /// `FragmentPath`: its unit file.
    pub fragment: String,
    /// Whether the unit gets the cluster's socket (`TriggeredBy`). Only a unit of this cluster does.
    pub takes_socket: bool,
}

/// The properties that have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of that name in [`UnitInfo`]")]
pub struct Change {
    pub active: Option<ActiveState>,
    pub sub_state: Option<String>,
    pub invocation: Option<Option<InvocationId>>,
    pub job: Option<Option<JobId>>,
    pub restarts: Option<u32>,
    pub main_pid: Option<u32>,
    pub begun_usec: Option<u64>,
    pub started_usec: Option<u64>,
    pub active_since_usec: Option<u64>,
    pub active_usec: Option<u64>,
    pub inactive_usec: Option<u64>,
    pub fed_usec: Option<u64>,
    pub watchdog_usec: Option<u64>,
    pub start_timeout_usec: Option<u64>,
    pub stop_timeout_usec: Option<u64>,
    pub exit_code: Option<i32>,
    pub exit_status: Option<i32>,
    pub result: Option<String>,
    pub asks: Option<Option<String>>,
    pub cut: Option<u32>,
    pub load_state: Option<String>,
    pub needs_daemon_reload: Option<bool>,
    pub fragment: Option<String>,
    pub takes_socket: Option<bool>,
}

impl Default for UnitInfo {
    fn default() -> Self {
        Self {
            active: ActiveState::Inactive,
            sub_state: "dead".to_owned(),
            invocation: None,
            job: None,
            restarts: 0,
            main_pid: 0,
            begun_usec: 0,
            started_usec: 0,
            active_since_usec: 0,
            active_usec: 0,
            inactive_usec: 0,
            fed_usec: 0,
            watchdog_usec: 0,
            start_timeout_usec: 0,
            stop_timeout_usec: 0,
            exit_code: 0,
            exit_status: 0,
            result: "success".to_owned(),
            asks: None,
            cut: 0,
            load_state: "loaded".to_owned(),
            needs_daemon_reload: false,
            fragment: String::new(),
            takes_socket: true,
        }
    }
}

macro_rules! take {
    ($to:expr, $from:expr, $($field:ident),+ $(,)?) => {
        $(if let Some(value) = $from.$field { $to.$field = value; })+
    };
}

impl UnitInfo {
    /// Takes over what has changed.
    pub fn apply(&mut self, change: Change) {
        let fed = self.fed_usec;
        take!(
            self,
            change,
            active,
            sub_state,
            invocation,
            job,
            restarts,
            main_pid,
            begun_usec,
            started_usec,
            active_since_usec,
            active_usec,
            inactive_usec,
            fed_usec,
            watchdog_usec,
            start_timeout_usec,
            stop_timeout_usec,
            exit_code,
            exit_status,
            result,
            asks,
            cut,
            load_state,
            needs_daemon_reload,
            fragment,
            takes_socket,
        );
        // systemd clears this time when it ends the process for a missed watchdog.
        self.fed_usec = self.fed_usec.max(fed);
    }

    /// Takes over what was read.
    pub fn replace(&mut self, read: Self) {
        let fed_usec = self.fed_usec.max(read.fed_usec);
        *self = Self { fed_usec, ..read };
    }

    /// What a rollout needs to know of the unit.
    pub fn unit(&self) -> Unit {
        Unit {
            active: self.active,
            invocation: self.invocation,
            restarts: self.restarts,
            has_job: self.job.is_some(),
            has_foreign_job: self.job.is_some(),
            may_go: false,
            fed_after: self.fed_after(),
        }
    }

    fn fed_after(&self) -> Option<Duration> {
        let has_watchdog = self.watchdog_usec != 0 && self.watchdog_usec != u64::MAX;
        has_watchdog.then(|| Duration::from_micros(self.fed_usec.saturating_sub(self.active_usec)))
    }

    /// How long the unit may take to stop, to start, and then to miss its watchdog, in all.
    pub fn restart_timeout(&self) -> Duration {
        // An infinite watchdog means no watchdog.
        let watchdog = if self.watchdog_usec == u64::MAX { 0 } else { self.watchdog_usec };
        let spans = [self.stop_timeout_usec, self.start_timeout_usec, watchdog];
        spans.iter().fold(Duration::ZERO, |sum, usec| sum.saturating_add(Duration::from_micros(*usec)))
    }

    /// Whether the unit has the name of a worker but is none: it does not get the cluster's socket.
    pub fn is_stranger(&self) -> bool {
        self.is_loaded() && !self.takes_socket
    }

    /// Whether systemd has read the unit files. A masked unit does not show whether it is a worker.
    pub fn is_loaded(&self) -> bool {
        self.load_state == "loaded"
    }

    /// Whether it neither runs nor is about to.
    pub fn is_down(&self) -> bool {
        matches!(self.active, ActiveState::Inactive | ActiveState::Failed)
    }
}
