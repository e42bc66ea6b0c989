//! The answer for people: the summary, the tables of workers, the rollout.

use std::fmt::Write;
use std::time::SystemTime;

use anstyle::{AnsiColor, Style as Paint};
use api::{Rollout, RolloutState, Status, Worker, WorkerState};

use super::look::Look;
use super::{quantity, traffic};
use crate::age;
use crate::rollout::words;
use crate::table::{self, Column, Row, Style};

/// The columns, and the order in which a narrow terminal leaves them out: the greatest number first.
const COLUMNS: [Column; 9] = [
    ("WORKER", 0),
    ("STATE", 0),
    ("PID", 2),
    ("RELEASE", 1),
    ("UPTIME", 3),
    ("RESTARTS", 4),
    ("CPU", 6),
    ("MEM", 5),
    ("LAST EXIT", 7),
];
const STATE: usize = 1;

/// The whole answer: summary, workers, counters, rollout. Rates are since `earlier`; without it, since each process
/// began.
pub(super) fn render(look: &Look, earlier: Option<&Look>, style: &Style) -> String {
    let parts = [workers(look, earlier, style), traffic::render(look, earlier, style), rollout(look)];
    let mut text = summary(look);
    for part in parts.iter().filter(|part| !part.is_empty()) {
        text.push('\n');
        text.push_str(part);
    }
    text
}

/// The summary, in one line.
pub(super) fn summary(look: &Look) -> String {
    format!("{}: {}\n", look.status.cluster, look.status.summary)
}

/// The last rollout; empty if there was none.
pub(super) fn rollout(look: &Look) -> String {
    look.status.rollout.iter().map(|rollout| describe(rollout, look.at)).collect()
}

/// The workers and their states, a line for each below the titles; empty if there are none.
pub(super) fn workers(look: &Look, earlier: Option<&Look>, style: &Style) -> String {
    let row = |worker: &Worker| Row {
        cells: cells(look, earlier, worker),
        paint: Some((STATE, paint(worker.state))),
    };
    let rows: Vec<_> = look.status.workers.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table::render(&COLUMNS, &rows, style) }
}

/// The worker as systemd calls it, and whether it is a surge worker.
pub(super) fn name(status: &Status, worker: &Worker) -> String {
    let name = worker.unit.strip_suffix(".service").unwrap_or(&worker.unit);
    let mut steps = status.rollout.iter().flat_map(|rollout| &rollout.steps);
    let is_extra = worker.instance > status.desired
        && steps.any(|step| step.is_surge && step.instance == worker.instance);
    format!("{name}{}", if is_extra { " (extra)" } else { "" })
}

fn cells(look: &Look, earlier: Option<&Look>, worker: &Worker) -> [String; COLUMNS.len()] {
    let or_dash =
        |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    let usage = look.process(worker).map(|process| process.usage).unwrap_or_default();
    [
        name(&look.status, worker),
        state(worker, look.at),
        or_dash((worker.pid != 0).then(|| worker.pid.to_string())),
        or_dash(Some(worker.release.clone())),
        or_dash(age::since(worker.ready_since_usec, look.at).map(age::span)),
        worker.restarts.to_string(),
        or_dash(look.cpu_share(worker, earlier).map(quantity::share)),
        or_dash(usage.memory_bytes.map(quantity::bytes)),
        or_dash(Some(worker.last_exit.clone())),
    ]
}

/// The state as a word.
pub(super) fn word(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Ready => "ready",
        WorkerState::Starting => "starting",
        WorkerState::Stopping => "stopping",
        WorkerState::Failed => "failed",
        WorkerState::Flapping => "flapping",
        WorkerState::Stopped => "stopped",
        WorkerState::Unknown => words::UNKNOWN,
    }
}

/// The state, with systemd's own word if that says more.
fn state(worker: &Worker, now: SystemTime) -> String {
    let word = word(worker.state);
    match (worker.state, age::left(worker.next_try_usec, now)) {
        (WorkerState::Starting, _) if worker.sub_state == "auto-restart" => format!("{word} (auto-restart)"),
        (WorkerState::Flapping, Some(left)) => format!("{word}, next try in {left}"),
        _ => word.to_owned(),
    }
}

fn paint(state: WorkerState) -> Paint {
    match state {
        WorkerState::Ready => AnsiColor::Green.on_default(),
        WorkerState::Unknown | WorkerState::Starting | WorkerState::Stopping => {
            AnsiColor::Yellow.on_default()
        }
        WorkerState::Failed | WorkerState::Flapping => AnsiColor::Red.on_default().bold(),
        WorkerState::Stopped => Paint::new().dimmed(),
    }
}

/// The rollout in a few lines: its progress, the workers in progress, what failed, what an operator can do.
fn describe(rollout: &Rollout, now: SystemTime) -> String {
    let (replaced, total) = (words::replaced(rollout), words::total(rollout));
    // Without steps, it never began. After it was undone, no worker counts as replaced.
    let went_back = matches!(rollout.state, RolloutState::Restored | RolloutState::Aborted);
    let counts = total > 0 && (replaced > 0 || !went_back);
    let facts = [
        Some(words::state(rollout.state).to_owned()),
        counts.then(|| format!("{replaced} of {total} replaced")),
        Some(words::releases(rollout)).filter(|releases| !releases.is_empty()),
        age::left(rollout.deadline_usec, now).map(|left| format!("{left} left")),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    let mut text = format!("rollout {}: {}\n  {}\n", rollout.id, facts.join(", "), words::origin(rollout));
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
