//! The lines between the threads that log and the thread that writes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::relay::Line;

/// How many lines wait at most: a few hundred kilobytes.
pub(crate) const MOST: usize = 1024;

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    /// How many lines were dropped since the last line that fitted.
    lost: u64,
    /// The line that was taken last is being written.
    is_writing: bool,
}

/// What is to be written next.
#[derive(Debug)]
pub(crate) enum Next {
    Line(Line),
    /// This many lines were dropped here.
    Lost(u64),
}

impl Queue {
    /// Adds a line, or counts it as lost. It waits only as long as another thread needs for the same.
    pub(crate) fn push(&self, line: Line) {
        let mut state = self.state();
        // Until the loss is reported, no line is added. So the report appears at the right place.
        if state.lines.len() >= MOST || state.lost > 0 {
            state.lost += 1;
        } else {
            state.lines.push_back(line);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the next line. The previous one counts as written from now on.
    pub(crate) fn next(&self) -> Next {
        let mut state = self.state();
        state.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.is_writing = true;
                return Next::Line(line);
            }
            if state.lost > 0 {
                state.is_writing = true;
                return Next::Lost(std::mem::take(&mut state.lost));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all lines are written, at most for `patience`.
    pub(crate) fn until_written(&self, patience: Duration) {
        let is_waiting = |state: &mut State| state.is_writing || !state.lines.is_empty() || state.lost > 0;
        drop(self.changed.wait_timeout_while(self.state(), patience, is_waiting));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
