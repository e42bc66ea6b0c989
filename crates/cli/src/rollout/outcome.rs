//! What a rollout's end means: the exit status, the report, and what to do next.

use std::time::Duration;

use api::{Entry, EntryState, Kind, Rollout, RolloutState, StepState};
use config::timespan;

use super::words;
use crate::exit::Exit;

/// The exit status for a rollout that has ended.
pub(crate) fn exit(rollout: &Rollout) -> Exit {
    let is_new = |state| matches!(state, StepState::Done | StepState::Failed);
    match rollout.state {
        RolloutState::Done => Exit::Done,
        RolloutState::Restored => Exit::Restored,
        RolloutState::Aborted if rollout.from == rollout.to => Exit::Failed,
        RolloutState::Aborted if !rollout.steps.iter().any(|step| is_new(step.state)) => Exit::Restored,
        RolloutState::Failed | RolloutState::Aborted => Exit::NotWhole,
        RolloutState::Refused => Exit::Refused,
        // It has not ended, so nothing is known of its end.
        RolloutState::Unknown | RolloutState::Queued | RolloutState::Running | RolloutState::Paused => {
            Exit::Unreachable
        }
    }
}

/// The exit status for a rollout that only the history knows.
pub(crate) fn exit_of_entry(entry: &Entry) -> Exit {
    match entry.state {
        EntryState::Done => Exit::Done,
        EntryState::Restored => Exit::Restored,
        EntryState::Aborted if entry.from == entry.to => Exit::Failed,
        EntryState::Aborted => Exit::Restored,
        EntryState::Failed | EntryState::Interrupted => Exit::NotWhole,
        EntryState::Unknown | EntryState::Running | EntryState::Paused | EntryState::Restoring => {
            Exit::Unreachable
        }
    }
}

/// The exit status of `abort`. For it, a rollout that was undone is a success.
pub(crate) fn exit_of_abort(end: Exit) -> Exit {
    match end {
        Exit::Restored | Exit::Failed | Exit::Refused => Exit::Done,
        Exit::Done => Exit::Failed,
        other => other,
    }
}

/// How it ended, and what to do next if it did not succeed. Ends with a newline.
pub(crate) fn report(rollout: &Rollout, took: Duration) -> String {
    let took = in_words(took);
    let Rollout { id, message, .. } = rollout;
    let verdict = match rollout.state {
        RolloutState::Done => {
            let (replaced, total) = (words::replaced(rollout), words::total(rollout));
            // The orchestrator may add to the numbers: a release that was left out, or connections that were cut.
            let more = message.split_once("; ").map(|(_, more)| format!("; {more}")).unwrap_or_default();
            return format!(
                "{replaced} of {total} workers replaced in {took}, {}{more}\n",
                words::releases(rollout)
            );
        }
        // Its message says that it was stopped, and how far it got.
        RolloutState::Aborted => format!("rollout {id} {message}"),
        RolloutState::Refused => format!("rollout {id} did not begin: {message}"),
        _ => format!("rollout {id} failed after {took}: {message}"),
    };
    format!("{verdict}\n{}{}\n", words::failure(rollout, ""), advice(rollout))
}

/// How it ended, for `abort`. Ends with a newline.
pub(crate) fn report_abort(rollout: &Rollout) -> String {
    let Rollout { id, message, from, .. } = rollout;
    match exit(rollout) {
        Exit::Done => {
            format!("rollout {id} was done before it could be aborted; `app-cluster rollback` goes back\n")
        }
        Exit::Restored => format!("rollout {id} {message}\nevery worker is on release {from}\n"),
        Exit::NotWhole => report(rollout, Duration::ZERO),
        _ => format!("rollout {id} {message}\n"),
    }
}

/// How it ended while the orchestrator was away. Ends with a newline.
pub(crate) fn report_entry(entry: &Entry) -> String {
    let Entry { rollout, failure, .. } = entry;
    let (state, releases) = (words::entry_state(entry.state), words::entry_releases(entry));
    let why = if failure.is_empty() { String::new() } else { format!("\n{failure}") };
    let advice = match exit_of_entry(entry) {
        Exit::NotWhole => "\n`app-cluster status` shows what the workers run",
        _ => "",
    };
    format!(
        "rollout {rollout} ended while the orchestrator was away: {state}, release {releases}{why}{advice}\n"
    )
}

/// Says that the first workers are replaced, and how to continue. Ends with a newline.
pub(crate) fn canary(rollout: &Rollout) -> String {
    let is_gone = |state| matches!(state, StepState::Stopped | StepState::Skipped);
    let there = rollout.steps.iter().filter(|step| !is_gone(step.state) && !is_to_come(step)).count();
    let on_it = rollout.steps.iter().filter(|step| step.state == StepState::Done).count();
    let verb = if on_it == 1 { "runs" } else { "run" };
    format!("{on_it} of {there} workers {verb} release {}; {}\n", rollout.to, words::PAUSED)
}

/// Whether it is a surge worker that has not been started.
fn is_to_come(step: &api::Step) -> bool {
    step.is_surge && step.state == StepState::Waiting
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
    let again = match rollout.kind {
        Kind::Deploy => "run `app-cluster deploy` again",
        Kind::Rollback => "run `app-cluster rollback` again",
        // A reload does not roll to a package's release that has failed.
        Kind::Package if rollout.state != RolloutState::Aborted => {
            &*format!("go to it with `app-cluster rollback {}`", rollout.to)
        }
        Kind::Unknown | Kind::Reload | Kind::Package | Kind::Undo | Kind::Recycle => {
            "run `systemctl reload app-cluster` again"
        }
    };
    let journal = match rollout.failure.first() {
        Some(failure) => format!("`journalctl -u {}`", failure.unit),
        None => "`journalctl -u app-cluster`".to_owned(),
    };
    match exit(rollout) {
        Exit::NotWhole if rollout.state == RolloutState::Aborted => {
            format!("the workers run two releases; to finish, {again}")
        }
        Exit::NotWhole => format!("see `app-cluster status` and {journal}; when it is fixed, {again}"),
        Exit::Restored if rollout.state == RolloutState::Restored => {
            let is_of_the_unit = |failure: &api::Failure| {
                // If the status is EX_CONFIG, or systemd failed before it executed the program, the release is not at
                // fault.
                let words = ["exited with status 78", "ExecStartPre=", "before systemd could execute"];
                words.iter().any(|words| failure.reason.contains(words))
            };
            let fix = match rollout.failure.iter().any(is_of_the_unit) {
                true => "look at the unit and its socket with `app-cluster check`",
                false => "fix the release",
            };
            format!("see {journal}, {fix}, then {again}")
        }
        Exit::Restored => format!("to replace the workers, {again}"),
        _ => format!("nothing else was changed; to replace the workers, {again}"),
    }
}

#[cfg(test)]
mod tests {
    use api::Failure;

    use super::super::words::tests::{rollout, with_surge};
    use super::*;

    #[test]
    fn the_exit_status_tells_what_the_workers_run() {
        use RolloutState::{Aborted, Done, Failed, Restored};
        use StepState::Waiting;
        assert_eq!(exit(&rollout(Done, &[StepState::Done])), Exit::Done);
        assert_eq!(exit(&rollout(Restored, &[StepState::Restored, Waiting])), Exit::Restored);
        assert_eq!(exit(&rollout(Failed, &[StepState::Failed, Waiting])), Exit::NotWhole);
        assert_eq!(exit(&rollout(RolloutState::Refused, &[])), Exit::Refused);
        assert_eq!(exit(&rollout(Aborted, &[StepState::Restored, Waiting])), Exit::Restored);
        assert_eq!(exit(&rollout(Aborted, &[StepState::Done, Waiting])), Exit::NotWhole);
        let restarted = Rollout { from: "1.1".into(), ..rollout(Aborted, &[StepState::Done, Waiting]) };
        assert_eq!(exit(&restarted), Exit::Failed);
    }

    #[test]
    fn whoever_aborts_has_what_they_want_when_nothing_new_is_left() {
        use Exit::{Done, Failed, NotWhole, Refused, Restored};
        assert_eq!([Restored, Failed, Refused].map(exit_of_abort), [Done; 3]);
        assert_eq!([Done, NotWhole].map(exit_of_abort), [Failed, NotWhole]);
    }

    #[test]
    fn a_good_end_is_one_sentence() {
        let rollout = with_surge(RolloutState::Done, &[StepState::Done, StepState::Done, StepState::Stopped]);
        assert_eq!(
            report(&rollout, Duration::from_micros(2_500_900)),
            "2 of 2 workers replaced in 2s 500ms, release 1.0 → 1.1\n"
        );
    }

    #[test]
    fn a_canary_is_counted_among_those_that_are_there() {
        use StepState::{Done, Waiting};
        let ways = "`app-cluster resume` goes on, `app-cluster abort` goes back\n";
        let in_place = rollout(RolloutState::Paused, &[Done, Waiting, Waiting, Waiting]);
        assert_eq!(canary(&in_place), format!("1 of 4 workers runs release 1.1; {ways}"));
        let extra = with_surge(RolloutState::Paused, &[Done, Waiting, Waiting, Waiting, Done]);
        assert_eq!(canary(&extra), format!("2 of 5 workers run release 1.1; {ways}"));
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
            kind: Kind::Deploy,
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
see `journalctl -u worker@1.service`, fix the release, then run `app-cluster deploy` again
"
        );
    }
}
