//! Progress of a change of the number: a bar on a terminal, else a line for each worker.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const BAR: &str = "{bar:30.green} {pos} of {len}  {elapsed}  {msg}";

/// Shows which workers have reached their new state.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: BTreeSet<u32>,
}

impl Progress {
    /// For this number of workers that start or stop.
    pub(super) fn new(total: usize) -> Self {
        let bar = (total > 0 && io::stderr().is_terminal()).then(|| {
            // The template is a constant, which a test expands.
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(total as u64).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, told: BTreeSet::new() }
    }

    /// These workers, of `total`, have reached their new state.
    pub(super) fn show(&mut self, over: &[(u32, &str)], total: usize) {
        for (instance, how) in over {
            let is_news = self.told.insert(*instance);
            match &self.bar {
                Some(bar) if is_news => bar.set_message(format!("worker@{instance} {how}")),
                // The wait goes on even if the output has no reader any more.
                None if is_news => drop(output::print(&format!(
                    "worker@{instance}: {how} ({} of {total})\n",
                    self.told.len()
                ))),
                _ => {}
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(over.len() as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
