//! Progress on a terminal: a bar for the whole, above it a line for each worker that is being replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Rollout, StepState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Progress;
use super::outcome::{releases, replaced, step_name};

const WHOLE: &str = "{bar:30.green} {pos} of {len}  {elapsed}  {msg}";
const BUSY: &str = "{spinner} {prefix}  {msg}";
const SETTLED: &str = "  {prefix}  {msg}";
const TICK: Duration = Duration::from_millis(100);

/// Draws to standard error. What it has drawn stays when it is dropped, the bar for the whole goes.
pub(super) struct Bars {
    screen: MultiProgress,
    whole: ProgressBar,
    workers: BTreeMap<u32, ProgressBar>,
}

impl Bars {
    /// An empty bar.
    pub(super) fn new() -> Self {
        let screen = MultiProgress::new();
        let whole = screen.add(ProgressBar::new(0).with_style(style(WHOLE)));
        whole.enable_steady_tick(TICK);
        Self { screen, whole, workers: BTreeMap::new() }
    }

    fn worker(&mut self, instance: u32) -> &ProgressBar {
        self.workers.entry(instance).or_insert_with(|| {
            let line =
                ProgressBar::new_spinner().with_style(style(BUSY)).with_prefix(format!("worker@{instance}"));
            let line = self.screen.insert_before(&self.whole, line);
            line.enable_steady_tick(TICK);
            line
        })
    }
}

impl Progress for Bars {
    fn changed(&mut self, _before: Option<&Rollout>, now: &Rollout) {
        self.whole.set_length(now.steps.len() as u64);
        self.whole.set_position(replaced(now) as u64);
        let message = if now.message.is_empty() { releases(now) } else { now.message.clone() };
        self.whole.set_message(message);
        for step in now.steps.iter().filter(|step| step.state != StepState::Waiting) {
            let line = self.worker(step.instance);
            let name = step_name(step.state);
            match step.state {
                StepState::Done | StepState::Failed | StepState::Restored => {
                    line.set_style(style(SETTLED));
                    line.finish_with_message(name);
                }
                _ => {
                    // It may have been done before, and is now being put back.
                    line.set_style(style(BUSY));
                    line.reset();
                    line.set_message(name);
                }
            }
        }
    }

    fn say(&mut self, text: &str) {
        // Without a place to draw there is nobody to read it.
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

fn style(template: &str) -> ProgressStyle {
    // The templates are the constants above, which a test expands.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use api::RolloutState;

    use super::super::outcome::tests::rollout;
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [WHOLE, BUSY, SETTLED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn a_worker_has_a_line_from_its_first_step_on() {
        let mut bars = Bars::new();
        bars.changed(
            None,
            &rollout(RolloutState::Running, &[StepState::Done, StepState::Settling, StepState::Waiting]),
        );
        assert_eq!(bars.workers.keys().collect::<Vec<_>>(), [&1, &2]);
        assert!(bars.workers[&1].is_finished());
        assert_eq!(bars.workers[&2].message(), "settling");
        assert_eq!((bars.whole.position(), bars.whole.length()), (1, Some(3)));

        bars.changed(None, &rollout(RolloutState::Running, &[StepState::Restoring, StepState::Failed]));
        assert!(!bars.workers[&1].is_finished());
        assert_eq!(bars.workers[&1].message(), "restoring");
    }
}
