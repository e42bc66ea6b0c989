//! Progress on a terminal: a bar for the whole, above it a line for each worker that is being replaced.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use api::{Rollout, RolloutState, Step, StepState};
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::{Progress, words};
use crate::age;

const WHOLE: &str = "{bar:30.green} {pos} of {len}  {elapsed}{left}  {msg}";
const BUSY: &str = "{spinner} {prefix}  {msg}{left}";
const SETTLED: &str = "  {prefix}  {msg}";
const TICK: Duration = Duration::from_millis(100);

/// Draws to standard error. When it is dropped, the lines of the workers stay and the bar for the whole goes.
pub(super) struct Bars {
    screen: MultiProgress,
    whole: ProgressBar,
    workers: BTreeMap<u32, ProgressBar>,
}

impl Bars {
    /// An empty bar.
    pub(super) fn new() -> Self {
        let screen = MultiProgress::new();
        let whole = screen.add(ProgressBar::new(0).with_style(style(WHOLE, 0)));
        whole.enable_steady_tick(TICK);
        Self { screen, whole, workers: BTreeMap::new() }
    }

    fn worker(&mut self, step: &Step) -> &ProgressBar {
        self.workers.entry(step.instance).or_insert_with(|| {
            let line = ProgressBar::new_spinner().with_style(style(BUSY, 0)).with_prefix(words::worker(step));
            let line = self.screen.insert_before(&self.whole, line);
            line.enable_steady_tick(TICK);
            line
        })
    }
}

impl Progress for Bars {
    fn changed(&mut self, _before: Option<&Rollout>, now: &Rollout) {
        self.whole.set_style(style(WHOLE, now.deadline_usec));
        self.whole.set_length(words::total(now) as u64);
        self.whole.set_position(words::replaced(now) as u64);
        self.whole.set_message(message(now));
        for step in now.steps.iter().filter(|step| step.state != StepState::Waiting) {
            let line = self.worker(step);
            let phrase = words::step(step);
            if is_settled(step.state) {
                line.set_style(style(SETTLED, 0));
                line.finish_with_message(phrase);
            } else {
                // The worker may have been done before and is now being restored.
                line.set_style(style(BUSY, step.deadline_usec));
                line.reset();
                line.set_message(phrase);
            }
        }
    }

    fn starting(&mut self, step: &Step) {
        self.worker(step).set_message(words::STARTING);
    }

    fn say(&mut self, text: &str) {
        // If writing to the terminal fails, there is no other place for the message.
        let _ = self.screen.println(text);
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for line in self.workers.values().filter(|line| !line.is_finished()) {
            line.abandon();
        }
        self.whole.finish_and_clear();
    }
}

fn is_settled(state: StepState) -> bool {
    use StepState::{Done, Failed, Restored, Skipped, Stopped};
    matches!(state, Done | Failed | Restored | Skipped | Stopped)
}

fn message(now: &Rollout) -> String {
    match now.state {
        RolloutState::Paused => format!("paused: {}", words::PAUSED),
        _ if now.message.is_empty() => words::releases(now),
        _ => now.message.clone(),
    }
}

/// A line of this form. `{left}` counts down to a moment, in microseconds since the Unix epoch.
fn style(template: &str, deadline_usec: u64) -> ProgressStyle {
    let left = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        if let Some(left) = age::left(deadline_usec, SystemTime::now()) {
            // Writing to a String does not fail.
            let _ = write!(out, ", {left} left");
        }
    };
    // The templates are the constants above, which a test expands.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", left)
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::{rollout, with_surge};
    use super::*;
    use StepState::{Done, Failed, Restarting, Restoring, Settling, Skipped, Stopped, Waiting};

    #[test]
    fn the_templates_are_valid() {
        for template in [WHOLE, BUSY, SETTLED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_worker_has_a_line_from_its_first_step_on() {
        let mut bars = Bars::new();
        bars.changed(None, &rollout(RolloutState::Running, &[Done, Settling, Waiting]));
        assert_eq!(bars.workers.keys().collect::<Vec<_>>(), [&1, &2]);
        assert!(bars.workers[&1].is_finished());
        assert_eq!(bars.workers[&2].message(), "settling");
        assert_eq!((bars.whole.position(), bars.whole.length()), (1, Some(3)));

        bars.changed(None, &rollout(RolloutState::Running, &[Restoring, Failed]));
        assert!(!bars.workers[&1].is_finished());
        assert_eq!(bars.workers[&1].message(), "restoring");
    }

    #[test]
    fn a_pause_says_how_to_go_on() {
        let ways = "paused: `app-cluster resume` goes on, `app-cluster abort` goes back";
        assert_eq!(message(&rollout(RolloutState::Paused, &[Done, Waiting])), ways);
        let unsaid = Rollout { message: String::new(), ..rollout(RolloutState::Running, &[Waiting]) };
        assert_eq!(message(&unsaid), "release 1.0 → 1.1");
    }

    #[test]
    fn what_is_over_by_itself_keeps_no_line_busy() {
        let mut bars = Bars::new();
        bars.changed(None, &with_surge(RolloutState::Running, &[Skipped, Restarting, Stopped]));
        let busy: Vec<_> = bars.workers.values().filter(|line| !line.is_finished()).collect();
        assert_eq!(busy.len(), 1);
        assert_eq!((busy[0].prefix().as_str(), busy[0].message().as_str()), ("worker@2", "restarting"));
        assert_eq!(bars.workers[&3].prefix(), "worker@3 (extra)");
    }
}
