//! Which requests may be lost: only those whose loss an action of the round explains.

use promises::{Failure, Report};

use super::action::{Action, Outcome};

/// What the actions of a round explain.
#[derive(Debug)]
pub(super) struct Losses {
    /// The processes that were killed, or were stopped for so long that systemd may have killed them.
    killed: Vec<u32>,
    /// How many connections a killed process may have been answering.
    clients: u64,
    /// A client may have waited longer than its timeout: workers were stopped, killed or paused.
    may_be_late: bool,
}

impl Losses {
    pub(super) fn explained<'a>(
        actions: impl Iterator<Item = (&'a Action, &'a Outcome)>,
        clients: u64,
    ) -> Self {
        let mut losses = Self { killed: Vec::new(), clients, may_be_late: false };
        for (action, outcome) in actions {
            match action {
                Action::KillWorker(_) | Action::FreezeWorker(..) => {
                    losses.killed.extend(outcome.process());
                    losses.may_be_late = true;
                }
                Action::StopCluster | Action::StopWorker(_) => losses.may_be_late = true,
                Action::Line(_) | Action::MakeReadOnly => {}
            }
        }
        losses
    }

    /// Asserts that nothing else was lost.
    pub(super) fn explain(&self, report: &Report) -> Result<(), String> {
        let is_explained = |failure: Failure| match failure {
            Failure::Timeout | Failure::ConnectTimeout => self.may_be_late,
            failure => failure.is_cut(),
        };
        let is_elsewhere = |pid: u32| !self.killed.contains(&pid);
        let elsewhere = report
            .examples
            .iter()
            .any(|lost| lost.failure.is_cut() && lost.last_pid.is_some_and(is_elsewhere));
        let is_good = report.ok > 0
            && report.failures.keys().all(|failure| is_explained(*failure))
            && report.cut() <= self.killed.len() as u64 * self.clients
            && !elsewhere;
        if is_good {
            Ok(())
        } else {
            Err(format!("requests were lost that {self:?} does not explain:\n{report}"))
        }
    }
}
