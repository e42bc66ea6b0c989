//! systemd's time stamps of workers, and which part of a rollout the workers themselves took.
//!
//! They are read once, after the rollout. During the measurement no program asks systemd anything.

use std::collections::HashMap;

use anyhow::Result;
use machine::Machine;

/// A span of time, in microseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Span {
    pub(super) fn micros(self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// systemd's time stamps of a worker's last stop and start, in microseconds of the monotonic clock; 0 means
/// never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamps {
    /// `ActiveExitTimestampMonotonic`: SIGTERM is sent.
    stopping: u64,
    /// `InactiveEnterTimestampMonotonic`: its process is gone.
    gone: u64,
    /// `ExecMainStartTimestampMonotonic`: the new process exists.
    executed: u64,
    /// `ActiveEnterTimestampMonotonic`: it has sent READY=1.
    pub(super) ready: u64,
}

impl Stamps {
    const NAMES: [&str; 4] = [
        "ActiveExitTimestampMonotonic",
        "InactiveEnterTimestampMonotonic",
        "ExecMainStartTimestampMonotonic",
        "ActiveEnterTimestampMonotonic",
    ];

    /// The time stamps of all workers that systemd has loaded, running or not.
    pub(super) fn read(machine: &Machine) -> Result<Vec<Self>> {
        let properties = format!("--property={}", Self::NAMES.join(","));
        let text = machine.systemctl(["show", "--all", &properties, "worker@*.service"]).into_success()?;
        Ok(text.split("\n\n").map(Self::parse).collect())
    }

    fn parse(block: &str) -> Self {
        let values: HashMap<_, _> = block.lines().filter_map(|line| line.split_once('=')).collect();
        let [stopping, gone, executed, ready] =
            Self::NAMES.map(|name| values.get(name).and_then(|value| value.parse().ok()).unwrap_or(0));
        Self { stopping, gone, executed, ready }
    }

    /// The worker's own start, from exec to READY=1, if that was after `since`.
    pub(super) fn start(self, since: u64) -> Option<Span> {
        let span = Span { from: self.executed, to: self.ready };
        (span.from > since && span.to >= span.from).then_some(span)
    }

    /// The worker's own drain, from SIGTERM until systemd has seen the end, if that was after `since`.
    pub(super) fn drain(self, since: u64) -> Option<Span> {
        let span = Span { from: self.stopping, to: self.gone };
        (span.from > since && span.to >= span.from).then_some(span)
    }
}

/// How much of `window` these spans cover, in microseconds. Overlaps count once.
pub(super) fn covered(spans: &[Span], window: Span) -> u64 {
    let clip = |span: &Span| Span { from: span.from.max(window.from), to: span.to.min(window.to) };
    let mut spans: Vec<Span> = spans.iter().map(clip).filter(|span| span.from < span.to).collect();
    spans.sort_by_key(|span| span.from);
    let mut end = window.from;
    let mut sum = 0;
    for span in spans {
        sum += span.to.saturating_sub(span.from.max(end));
        end = end.max(span.to);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from, to }
    }

    #[test]
    fn what_is_covered_twice_counts_once() {
        let spans = [span(10, 20), span(15, 30), span(40, 50), span(41, 42), span(90, 200)];
        assert_eq!(covered(&spans, span(0, 100)), 20 + 10 + 10);
        assert_eq!(covered(&spans, span(12, 45)), 18 + 5);
        assert_eq!(covered(&[], span(0, 100)), 0);
    }

    #[test]
    fn only_what_happened_since_counts() {
        let block = "ActiveExitTimestampMonotonic=100\nInactiveEnterTimestampMonotonic=130\n\
             ExecMainStartTimestampMonotonic=140\nActiveEnterTimestampMonotonic=150";
        let stamps = Stamps::parse(block);
        assert_eq!((stamps.drain(99), stamps.start(99)), (Some(span(100, 130)), Some(span(140, 150))));
        assert_eq!((stamps.drain(120), stamps.start(120)), (None, Some(span(140, 150))));
        // It starts before the others and stops after them.
        let extra = Stamps { stopping: 900, gone: 930, executed: 140, ready: 150 };
        assert_eq!((extra.drain(99), extra.start(99)), (Some(span(900, 930)), Some(span(140, 150))));
        assert_eq!((Stamps::parse("").drain(99), Stamps::parse("").start(99)), (None, None));
    }
}
