//! The texts for rollouts, the same in every command.

use std::fmt::Write;

use api::{Entry, EntryState, Kind, Rollout, RolloutState, Step, StepState};

/// What an operator can do with a paused rollout.
pub(crate) const PAUSED: &str = "`app-cluster resume` goes on, `app-cluster abort` goes back";

/// A worker that runs, but has not said that it is ready.
pub(crate) const STARTING: &str = "started, waiting for READY=1";

/// A rollout that waits for an earlier one.
pub(crate) const QUEUED: &str = "waiting for the rollout before it";

/// Why a rollout has not begun.
pub(crate) fn queued(rollout: &Rollout) -> String {
    if rollout.message.is_empty() { QUEUED.to_owned() } else { rollout.message.clone() }
}

/// A value from a newer orchestrator that this command does not know.
pub(crate) const UNKNOWN: &str = "unknown";

/// The steps of the workers that the cluster keeps, without the surge workers.
fn kept(rollout: &Rollout) -> impl Iterator<Item = &Step> {
    rollout.steps.iter().filter(|step| !step.is_surge)
}

/// How many workers the rollout has to replace. Surge workers do not count.
pub(crate) fn total(rollout: &Rollout) -> usize {
    kept(rollout).count()
}

/// How many of them were replaced.
pub(crate) fn replaced(rollout: &Rollout) -> usize {
    kept(rollout).filter(|step| step.state == StepState::Done).count()
}

/// The worker of a step.
pub(crate) fn worker(step: &Step) -> String {
    format!("worker@{}{}", step.instance, if step.is_surge { " (extra)" } else { "" })
}

/// How far a step is, as a phrase.
pub(crate) fn step(step: &Step) -> &'static str {
    match step.state {
        StepState::Unknown => UNKNOWN,
        StepState::Waiting => "waiting",
        // A surge worker replaces no other one.
        StepState::Restarting if step.is_surge => "starting",
        StepState::Restarting => "restarting",
        StepState::Settling => "settling",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Restoring => "restoring",
        StepState::Restored => "restored",
        StepState::Skipped => "skipped, an operator stopped it",
        StepState::Stopping => "stopping",
        StepState::Stopped => "stopped",
    }
}

/// The state as a word.
pub(crate) fn state(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Unknown => UNKNOWN,
        RolloutState::Queued => "queued",
        RolloutState::Running => "running",
        RolloutState::Paused => "paused",
        RolloutState::Done => "done",
        RolloutState::Restored => "restored",
        RolloutState::Failed => "failed",
        RolloutState::Aborted => "aborted",
        RolloutState::Refused => "refused",
    }
}

/// The state of a rollout of the past as a word.
pub(crate) fn entry_state(state: EntryState) -> &'static str {
    match state {
        EntryState::Unknown => UNKNOWN,
        EntryState::Running => "running",
        EntryState::Paused => "paused",
        EntryState::Restoring => "restoring",
        EntryState::Done => "done",
        EntryState::Restored => "restored",
        EntryState::Failed => "failed",
        EntryState::Aborted => "aborted",
        EntryState::Interrupted => "interrupted",
    }
}

/// What caused it, as a word.
pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unknown => UNKNOWN,
        Kind::Reload => "reload",
        Kind::Package => "package",
        Kind::Deploy => "deploy",
        Kind::Rollback => "rollback",
        Kind::Undo => "undo",
        Kind::Recycle => "recycle",
    }
}

/// What caused it, and who requested it: `deploy by alice`.
pub(crate) fn origin(rollout: &Rollout) -> String {
    match rollout.by.as_str() {
        "" => kind(rollout.kind).to_owned(),
        by => format!("{} by {by}", kind(rollout.kind)),
    }
}

/// From which release to which: `release 1.2.0 → 1.3.0`. Empty if none is known.
pub(crate) fn releases(rollout: &Rollout) -> String {
    match change(&rollout.from, &rollout.to) {
        known if known.is_empty() => known,
        known => format!("release {known}"),
    }
}

/// The same for a rollout of the past, without the word.
pub(crate) fn entry_releases(entry: &Entry) -> String {
    change(&entry.from, &entry.to)
}

fn change(from: &str, to: &str) -> String {
    match (from, to) {
        ("", one) | (one, "") => one.to_owned(),
        (from, to) if from == to => to.to_owned(),
        (from, to) => format!("{from} → {to}"),
    }
}

/// What an abort does now.
pub(crate) fn abortion(rollout: &Rollout) -> String {
    match rollout.state {
        RolloutState::Queued => "withdrawing it".to_owned(),
        _ if rollout.from == rollout.to => "ending after the workers in progress".to_owned(),
        _ => format!("going back to release {}", rollout.from),
    }
}

/// The worker that failed and the last lines it wrote, each line after `indent`. Empty if none failed.
pub(crate) fn failure(rollout: &Rollout, indent: &str) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for failure in &rollout.failure {
        if !rollout.message.contains(&failure.reason) {
            let _ = writeln!(text, "{indent}{} {}", failure.unit, failure.reason);
        }
        if !failure.journal.is_empty() {
            let _ = writeln!(text, "{indent}last lines of {}:", failure.unit);
        }
        for line in &failure.journal {
            let _ = writeln!(text, "{indent}  {line}");
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rollout(state: RolloutState, steps: &[StepState]) -> Rollout {
        let step = |(instance, state): (u32, &StepState)| Step {
            instance,
            state: *state,
            is_surge: false,
            deadline_usec: 0,
        };
        Rollout {
            id: 7,
            kind: Kind::Reload,
            by: "alice".into(),
            state,
            from: "1.0".into(),
            to: "1.1".into(),
            steps: (1..).zip(steps).map(step).collect(),
            message: "how it ended".into(),
            failure: vec![],
            step_timeout_usec: 0,
            deadline_usec: 0,
        }
    }

    /// The same. The last worker is a surge worker.
    pub(crate) fn with_surge(state: RolloutState, steps: &[StepState]) -> Rollout {
        let mut rollout = rollout(state, steps);
        rollout.steps.last_mut().unwrap().is_surge = true;
        rollout
    }

    #[test]
    fn a_worker_for_the_rollout_only_does_not_count() {
        use StepState::{Done, Restarting, Waiting};
        let rollout = with_surge(RolloutState::Running, &[Done, Waiting, Done]);
        assert_eq!((replaced(&rollout), total(&rollout)), (1, 2));
        let starting = with_surge(RolloutState::Running, &[Restarting, Restarting]);
        let told: Vec<_> = starting.steps.iter().map(|s| format!("{}: {}", worker(s), step(s))).collect();
        assert_eq!(told, ["worker@1: restarting", "worker@2 (extra): starting"]);
    }

    #[test]
    fn an_abort_says_where_it_leads() {
        let running = rollout(RolloutState::Running, &[]);
        assert_eq!(abortion(&running), "going back to release 1.0");
        assert_eq!(
            abortion(&Rollout { to: "1.0".into(), ..running }),
            "ending after the workers in progress"
        );
        assert_eq!(abortion(&rollout(RolloutState::Queued, &[])), "withdrawing it");
    }
}
