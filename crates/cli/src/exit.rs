//! What the exit status means, and the failures that carry one.

use std::process::ExitCode;

/// How the command ended. Scripts and `ExecReload=` rely on the numbers. From 64 on, they are those of
/// `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// The operation failed or was ended on request, and no release was changed.
    Failed = 1,
    /// The rollout failed or was aborted, and every worker is on the release it ran before.
    Restored = 2,
    /// The rollout failed, and the cluster is not whole: releases are mixed, or a worker is not ready.
    NotWhole = 3,
    /// The operation was refused, and nothing was changed. It is not possible now, or not permitted to this user, or
    /// there is nothing to apply it to.
    Refused = 4,
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// The orchestrator cannot be reached, or went away before the operation ended (`EX_TEMPFAIL`).
    Unreachable = 75,
    /// The configuration or a unit is wrong (`EX_CONFIG`).
    Configuration = 78,
    /// Interrupted a second time. The orchestrator continues (128 + SIGINT).
    Interrupted = 130,
}

impl Exit {
    /// The status for an error that a verb returned.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<Failure>().map_or(Self::Failed, |failure| failure.exit)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure with its exit status. The message says what happened and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_keeps_its_exit_status_under_context() {
        let refused = Err::<(), _>(Failure::new(Exit::Refused, "no")).context("while asking");
        assert_eq!(Exit::of(&refused.unwrap_err()), Exit::Refused);
        assert_eq!(Exit::of(&anyhow::anyhow!("disk full")), Exit::Failed);
    }
}
