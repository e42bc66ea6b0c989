//! Progress as plain lines, one per change: for the journal, for pipes, for logs.

use std::time::SystemTime;

use api::{Rollout, RolloutState, Step, StepState};

use super::{Progress, words};
use crate::{age, output};

/// Writes to standard output.
pub(super) struct Lines {
    id: u64,
    /// The last try that was reported as waiting for READY=1: the worker's instance and the deadline.
    waited_for: Option<(u32, u64)>,
}

impl Lines {
    /// For the rollout `id`.
    pub(super) fn new(id: u64) -> Self {
        Self { id, waited_for: None }
    }
}

impl Progress for Lines {
    fn changed(&mut self, before: Option<&Rollout>, now: &Rollout) {
        for line in changes(before, now) {
            self.say(&line);
        }
    }

    fn starting(&mut self, step: &Step) {
        let waited_for = (step.instance, step.deadline_usec);
        if self.waited_for.replace(waited_for) != Some(waited_for) {
            let left = age::left(step.deadline_usec, SystemTime::now());
            let left = left.map(|left| format!(", {left} left at most")).unwrap_or_default();
            let worker = words::worker(step);
            self.say(&format!("{worker}: {}{left}; see app-cluster-worker(7)", words::STARTING));
        }
    }

    fn say(&mut self, text: &str) {
        // The rollout is followed to its end even if the output has no reader any more.
        let _ = output::print(&format!("rollout {}: {text}\n", self.id));
    }
}

/// What has changed, one line each.
fn changes(before: Option<&Rollout>, now: &Rollout) -> Vec<String> {
    let mut lines = Vec::from_iter(headline(before.map(|rollout| rollout.state), now));
    let was = |instance| before?.steps.iter().find(|step| step.instance == instance).map(|step| step.state);
    // Several steps may have changed since the last status. Each line counts only up to its own step.
    let mut done = before.map_or(0, words::replaced);
    for step in &now.steps {
        if step.state == was(step.instance).unwrap_or(StepState::Waiting) {
            continue;
        }
        let count = if step.state == StepState::Done && !step.is_surge {
            done += 1;
            format!(" ({done} of {})", words::total(now))
        } else {
            String::new()
        };
        lines.push(format!("{}: {}{count}", words::worker(step), words::step(step)));
    }
    // The last line says what the operator can do.
    if now.state == RolloutState::Paused && before.is_none_or(|before| before.state != now.state) {
        lines.push(format!("paused: {}", words::PAUSED));
    }
    lines
}

/// What to show when a rollout changes from the state `before` to its present one.
fn headline(before: Option<RolloutState>, now: &Rollout) -> Option<String> {
    match (before, now.state) {
        (None, RolloutState::Queued) => Some(words::queued(now)),
        (None, RolloutState::Paused) | (None | Some(RolloutState::Queued), RolloutState::Running) => {
            Some(format!("{} workers, {}", words::total(now), words::releases(now)))
        }
        (Some(RolloutState::Paused), RolloutState::Running) => Some("going on".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::{rollout, with_surge};
    use super::*;
    use RolloutState::{Paused, Queued, Running};
    use StepState::{Done, Restarting, Restored, Restoring, Settling, Skipped, Stopped, Stopping, Waiting};

    fn told(story: &[Rollout]) -> Vec<String> {
        let mut before = None;
        let mut lines = Vec::new();
        for now in story {
            lines.extend(changes(before, now));
            before = Some(now);
        }
        lines
    }

    #[test]
    fn every_change_is_one_line() {
        let silent = Rollout { message: String::new(), ..rollout(Queued, &[Waiting, Waiting]) };
        let story = [
            silent,
            rollout(Running, &[Waiting, Waiting]),
            rollout(Running, &[Restarting, Waiting]),
            rollout(Running, &[Settling, Waiting]),
            rollout(Running, &[Done, Restarting]),
            rollout(Running, &[Done, StepState::Failed]),
            rollout(Running, &[Restoring, Restored]),
        ];
        assert_eq!(
            told(&story),
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
    fn a_worker_for_the_rollout_only_is_told_and_not_counted() {
        let story = [
            with_surge(Running, &[Waiting, Waiting, Restarting]),
            with_surge(Running, &[Waiting, Waiting, Settling]),
            with_surge(Running, &[Skipped, Restarting, Done]),
            with_surge(Running, &[Skipped, Done, Stopping]),
            with_surge(Running, &[Skipped, Done, Stopped]),
        ];
        assert_eq!(
            told(&story),
            [
                "2 workers, release 1.0 → 1.1",
                "worker@3 (extra): starting",
                "worker@3 (extra): settling",
                "worker@1: skipped, an operator stopped it",
                "worker@2: restarting",
                "worker@3 (extra): done",
                "worker@2: done (1 of 2)",
                "worker@3 (extra): stopping",
                "worker@3 (extra): stopped",
            ]
        );
    }

    #[test]
    fn a_pause_says_how_to_go_on() {
        let story = [
            rollout(Running, &[Restarting, Waiting]),
            rollout(Paused, &[Done, Waiting]),
            rollout(Running, &[Done, Restarting]),
        ];
        assert_eq!(
            told(&story),
            [
                "2 workers, release 1.0 → 1.1",
                "worker@1: restarting",
                "worker@1: done (1 of 2)",
                "paused: `app-cluster resume` goes on, `app-cluster abort` goes back",
                "going on",
                "worker@2: restarting",
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
