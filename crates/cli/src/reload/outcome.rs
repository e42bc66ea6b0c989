//! What a rollout's state means: for the exit status, and in words.

use std::fmt::Write;
use std::time::Duration;

use api::{Rollout, RolloutState, StepState};
use config::timespan;

use crate::exit::Exit;

/// Whether nothing more will happen.
pub(super) fn has_ended(rollout: &Rollout) -> bool {
    !matches!(rollout.state, RolloutState::Queued | RolloutState::Running)
}

/// How many workers were replaced.
pub(crate) fn replaced(rollout: &Rollout) -> usize {
    rollout.steps.iter().filter(|step| step.state == StepState::Done).count()
}

/// The exit status for a rollout that has ended.
pub(super) fn exit(rollout: &Rollout) -> Exit {
    let mixed = rollout.from != rollout.to && replaced(rollout) > 0;
    match rollout.state {
        RolloutState::Done => Exit::Done,
        RolloutState::Restored => Exit::Restored,
        RolloutState::Aborted if !mixed => Exit::Failed,
        RolloutState::Failed | RolloutState::Aborted => Exit::NotWhole,
        RolloutState::Refused => Exit::Refused,
        // It has not ended, so nothing is known of its end.
        RolloutState::Queued | RolloutState::Running => Exit::Unreachable,
    }
}

/// The state as a word.
pub(crate) fn state_name(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Queued => "queued",
        RolloutState::Running => "running",
        RolloutState::Done => "done",
        RolloutState::Restored => "restored",
        RolloutState::Failed => "failed",
        RolloutState::Aborted => "aborted",
        RolloutState::Refused => "refused",
    }
}

/// A step's state as a word.
pub(super) fn step_name(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Restarting => "restarting",
        StepState::Settling => "settling",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Restoring => "restoring",
        StepState::Restored => "restored",
    }
}

/// Which releases it is about: `release 1.2.0 → 1.3.0`.
pub(crate) fn releases(rollout: &Rollout) -> String {
    match (rollout.from.as_str(), rollout.to.as_str()) {
        ("", to) => format!("release {to}"),
        (from, to) if from == to => format!("release {to}"),
        (from, to) => format!("release {from} → {to}"),
    }
}

/// The worker that failed and the last lines it wrote, each line behind `indent`; empty if none failed.
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

/// How it ended, and what to do next if not well. Ends with a newline.
pub(super) fn report(rollout: &Rollout, took: Duration) -> String {
    let took = in_words(took);
    let Rollout { id, message, steps, .. } = rollout;
    let verdict = match rollout.state {
        RolloutState::Done => {
            return format!(
                "{} of {} workers replaced in {took}, {}\n",
                replaced(rollout),
                steps.len(),
                releases(rollout)
            );
        }
        // Its message says that it was stopped, and how far it came.
        RolloutState::Aborted => format!("rollout {id} {message}"),
        RolloutState::Refused => format!("rollout {id} did not begin: {message}"),
        _ => format!("rollout {id} failed after {took}: {message}"),
    };
    format!("{verdict}\n{}{}\n", failure(rollout, ""), advice(rollout))
}

fn in_words(took: Duration) -> String {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 {
        "no time".to_owned()
    } else {
        timespan::format(Duration::from_millis(milliseconds))
    }
}

fn advice(rollout: &Rollout) -> String {
    let again = "run `systemctl reload app-cluster` again";
    let journal = match rollout.failure.first() {
        Some(failure) => format!("`journalctl -u {}`", failure.unit),
        None => "`journalctl -u app-cluster`".to_owned(),
    };
    match exit(rollout) {
        Exit::Restored => format!("see {journal}, mend the release, then {again}"),
        Exit::NotWhole if rollout.state == RolloutState::Aborted => {
            format!("the workers run two releases; to finish, {again}")
        }
        Exit::NotWhole => format!("see `app-cluster status` and {journal}; when it is mended, {again}"),
        _ => format!("nothing else was changed; to replace the workers, {again}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use api::{Failure, Step};

    use super::*;

    pub(crate) fn rollout(state: RolloutState, steps: &[StepState]) -> Rollout {
        let steps = (1..).zip(steps).map(|(instance, state)| Step { instance, state: *state }).collect();
        Rollout {
            id: 7,
            state,
            from: "1.0".into(),
            to: "1.1".into(),
            steps,
            message: "how it ended".into(),
            failure: vec![],
            step_timeout_usec: 0,
        }
    }

    #[test]
    fn the_exit_status_tells_what_the_workers_run() {
        use RolloutState::{Aborted, Done, Failed, Restored};
        use StepState::Waiting;
        assert_eq!(exit(&rollout(Done, &[StepState::Done])), Exit::Done);
        assert_eq!(exit(&rollout(Restored, &[StepState::Restored, Waiting])), Exit::Restored);
        assert_eq!(exit(&rollout(Failed, &[StepState::Failed, Waiting])), Exit::NotWhole);
        assert_eq!(exit(&rollout(RolloutState::Refused, &[])), Exit::Refused);
        assert_eq!(exit(&rollout(Aborted, &[Waiting, Waiting])), Exit::Failed);
        assert_eq!(exit(&rollout(Aborted, &[StepState::Done, Waiting])), Exit::NotWhole);
        let restarted = Rollout { from: "1.1".into(), ..rollout(Aborted, &[StepState::Done, Waiting]) };
        assert_eq!(exit(&restarted), Exit::Failed);
    }

    #[test]
    fn a_good_end_is_one_sentence() {
        let rollout = rollout(RolloutState::Done, &[StepState::Done, StepState::Done]);
        assert_eq!(
            report(&rollout, Duration::from_micros(2_500_900)),
            "2 of 2 workers replaced in 2s 500ms, release 1.0 → 1.1\n"
        );
    }

    #[test]
    fn a_failure_names_the_worker_its_words_and_what_to_do() {
        let failure = Failure {
            instance: 1,
            unit: "worker@1.service".into(),
            reason: "exited with status 1 before it was ready".into(),
            journal: vec!["cannot open the database".into(), "giving up".into()],
        };
        let restored = Rollout {
            failure: vec![failure],
            ..rollout(RolloutState::Restored, &[StepState::Restored, StepState::Waiting])
        };
        assert_eq!(
            report(&restored, Duration::from_secs(3)),
            "\
rollout 7 failed after 3s: how it ended
worker@1.service exited with status 1 before it was ready
last lines of worker@1.service:
  cannot open the database
  giving up
see `journalctl -u worker@1.service`, mend the release, then run `systemctl reload app-cluster` again
"
        );
    }
}
