//! The answer for people: the summary, the table of workers, the rollout.

use std::fmt::Write;
use std::time::SystemTime;

use anstyle::{AnsiColor, Style as Paint};
use api::{Rollout, RolloutState, Status, Worker, WorkerState};

use super::Memory;
use crate::age;
use crate::rollout::words;
use crate::table::{self, Column, Row, Style};

/// The columns, and the order in which they are left out of a narrow terminal: greatest first.
const COLUMNS: [Column; 8] = [
    ("WORKER", 0),
    ("STATE", 0),
    ("PID", 2),
    ("RELEASE", 1),
    ("UPTIME", 3),
    ("RESTARTS", 4),
    ("MEM", 5),
    ("LAST EXIT", 6),
];
const STATE: usize = 1;

/// The whole answer: summary, workers, rollout.
pub(super) fn render(status: &Status, memory: &Memory, now: SystemTime, style: &Style) -> String {
    let mut text = format!("{}: {}\n", status.cluster, status.summary);
    if !status.workers.is_empty() {
        text.push('\n');
        text.push_str(&workers(status, memory, now, style));
    }
    for rollout in &status.rollout {
        text.push('\n');
        text.push_str(&describe(rollout, now));
    }
    text
}

fn workers(status: &Status, memory: &Memory, now: SystemTime, style: &Style) -> String {
    let row = |worker: &Worker| Row {
        cells: cells(status, worker, memory.get(&worker.instance).copied(), now),
        paint: Some((STATE, paint(worker.state))),
    };
    let rows: Vec<_> = status.workers.iter().map(row).collect();
    table::render(&COLUMNS, &rows, style)
}

/// Whether this worker is there for the rollout only.
fn is_extra(status: &Status, worker: &Worker) -> bool {
    let mut steps = status.rollout.iter().flat_map(|rollout| &rollout.steps);
    worker.instance > status.desired && steps.any(|step| step.is_surge && step.instance == worker.instance)
}

fn cells(status: &Status, worker: &Worker, memory: Option<u64>, now: SystemTime) -> [String; 8] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let name = worker.unit.strip_suffix(".service").unwrap_or(&worker.unit);
    let extra = if is_extra(status, worker) { " (extra)" } else { "" };
    [
        format!("{name}{extra}"),
        state(worker, now),
        if worker.pid == 0 { "-".to_owned() } else { worker.pid.to_string() },
        or_dash(&worker.release),
        age::since(worker.ready_since_usec, now).map_or_else(|| "-".to_owned(), age::span),
        worker.restarts.to_string(),
        memory.map_or_else(|| "-".to_owned(), bytes),
        or_dash(&worker.last_exit),
    ]
}

/// The state, with systemd's own word where that says more.
fn state(worker: &Worker, now: SystemTime) -> String {
    match worker.state {
        WorkerState::Ready => "ready".to_owned(),
        WorkerState::Starting if worker.sub_state == "auto-restart" => "starting (auto-restart)".to_owned(),
        WorkerState::Starting => "starting".to_owned(),
        WorkerState::Stopping => "stopping".to_owned(),
        WorkerState::Failed => "failed".to_owned(),
        WorkerState::Flapping => match age::left(worker.next_try_usec, now) {
            Some(left) => format!("flapping, next try in {left}"),
            None => "flapping".to_owned(),
        },
        WorkerState::Stopped => "stopped".to_owned(),
    }
}

fn paint(state: WorkerState) -> Paint {
    match state {
        WorkerState::Ready => AnsiColor::Green.on_default(),
        WorkerState::Starting | WorkerState::Stopping => AnsiColor::Yellow.on_default(),
        WorkerState::Failed | WorkerState::Flapping => AnsiColor::Red.on_default().bold(),
        WorkerState::Stopped => Paint::new().dimmed(),
    }
}

/// Bytes as systemd shows them, with binary units: `12.3M`.
fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("G", 30), ("M", 20), ("K", 10)];
    for (unit, shift) in UNITS {
        if bytes >> shift > 0 {
            let tenths = ((bytes >> (shift - 10)) * 10) >> 10;
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes}B")
}

/// The rollout in a few lines: how far it is, what is under way, what failed, what can be done.
fn describe(rollout: &Rollout, now: SystemTime) -> String {
    let (replaced, total) = (words::replaced(rollout), words::total(rollout));
    let left =
        age::left(rollout.deadline_usec, now).map_or_else(String::new, |left| format!(", {left} left"));
    let mut text = format!(
        "rollout {}: {}, {replaced} of {total} replaced, {}{left}\n  {}\n",
        rollout.id,
        words::state(rollout.state),
        words::releases(rollout),
        words::origin(rollout),
    );
    // Writing to a String does not fail.
    if !rollout.message.is_empty() {
        let _ = writeln!(text, "  {}", rollout.message);
    }
    for step in &rollout.steps {
        if let Some(left) = age::left(step.deadline_usec, now) {
            let _ = writeln!(text, "  {}: {}, {left} left", words::worker(step), words::step(step));
        }
    }
    if rollout.state == RolloutState::Paused {
        let _ = writeln!(text, "  paused: {}", words::PAUSED);
    }
    text.push_str(&words::failure(rollout, "  "));
    text
}

#[cfg(test)]
pub(super) mod tests;
