//! Progress as plain lines, one per change: for the journal, for pipes, for logs.

use api::{Rollout, RolloutState, StepState};

use super::Progress;
use super::outcome::{releases, replaced, step_name};
use crate::output;

/// Writes to standard output.
pub(super) struct Lines {
    id: u64,
}

impl Lines {
    /// For the rollout `id`.
    pub(super) fn new(id: u64) -> Self {
        Self { id }
    }
}

impl Progress for Lines {
    fn changed(&mut self, before: Option<&Rollout>, now: &Rollout) {
        for line in changes(before, now) {
            self.say(&line);
        }
    }

    fn say(&mut self, text: &str) {
        // The rollout matters more than whether somebody still reads about it.
        let _ = output::print(&format!("rollout {}: {text}\n", self.id));
    }
}

/// What has changed, one line each.
pub(super) fn changes(before: Option<&Rollout>, now: &Rollout) -> Vec<String> {
    let mut lines = Vec::new();
    let state_before = before.map(|rollout| rollout.state);
    if state_before != Some(now.state) {
        match now.state {
            RolloutState::Queued => lines.push("waiting for the rollout before it".to_owned()),
            RolloutState::Running => lines.push(format!("{} workers, {}", now.steps.len(), releases(now))),
            _ => {}
        }
    }
    let was = |instance| before?.steps.iter().find(|step| step.instance == instance).map(|step| step.state);
    // Several may have changed since the last look; each then counts up to itself.
    let mut done = before.map_or(0, replaced);
    for step in &now.steps {
        if step.state == was(step.instance).unwrap_or(StepState::Waiting) {
            continue;
        }
        let name = step_name(step.state);
        let count = if step.state == StepState::Done {
            done += 1;
            format!(" ({done} of {})", now.steps.len())
        } else {
            String::new()
        };
        lines.push(format!("worker@{}: {name}{count}", step.instance));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::rollout;
    use super::*;
    use RolloutState::{Queued, Running};
    use StepState::{Done, Restarting, Restored, Restoring, Settling, Waiting};

    #[test]
    fn every_change_is_one_line() {
        let story = [
            rollout(Queued, &[Waiting, Waiting]),
            rollout(Running, &[Waiting, Waiting]),
            rollout(Running, &[Restarting, Waiting]),
            rollout(Running, &[Settling, Waiting]),
            rollout(Running, &[Done, Restarting]),
            rollout(Running, &[Done, StepState::Failed]),
            rollout(Running, &[Restoring, Restored]),
        ];
        let mut before = None;
        let mut lines = Vec::new();
        for now in &story {
            lines.extend(changes(before, now));
            before = Some(now);
        }
        assert_eq!(
            lines,
            [
                "waiting for the rollout before it",
                "2 workers, release 1.0 → 1.1",
                "worker@1: restarting",
                "worker@1: settling",
                "worker@1: done (1 of 2)",
                "worker@2: restarting",
                "worker@2: failed",
                "worker@1: restoring",
                "worker@2: restored",
            ]
        );
    }

    #[test]
    fn changes_that_were_missed_are_told_together() {
        let lines = changes(None, &rollout(Running, &[Done, Done, Settling, Waiting]));
        assert_eq!(
            lines,
            [
                "4 workers, release 1.0 → 1.1",
                "worker@1: done (1 of 4)",
                "worker@2: done (2 of 4)",
                "worker@3: settling",
            ]
        );
        assert_eq!(changes(Some(&rollout(Running, &[Done])), &rollout(Running, &[Done])), [""; 0]);
    }
}
