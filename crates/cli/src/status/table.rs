//! The table of workers, as wide as the terminal allows.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style as Paint};
use api::{Rollout, Status, Worker, WorkerState};
use config::timespan;

use super::{Memory, since};

/// How the text may look.
pub(super) struct Style {
    /// The columns of the terminal; absent when it is not one.
    pub(super) width: Option<usize>,
    /// Whether states have colours.
    pub(super) colour: bool,
}

impl Style {
    /// What standard output can show. `NO_COLOR` is that of no-color.org.
    pub(super) fn of_stdout() -> Self {
        let stdout = io::stdout();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let colour =
            stdout.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|t| t != "dumb");
        let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| width.0.into());
        Self { width, colour }
    }
}

/// The columns, and the order in which they are left out of a narrow terminal: greatest first.
const COLUMNS: [(&str, u8); 8] = [
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
const GAP: usize = 2;

/// The whole answer: summary, workers, rollout.
pub(super) fn render(status: &Status, memory: &Memory, now: SystemTime, style: &Style) -> String {
    let mut text = format!("{}: {}\n", status.cluster, status.summary);
    if !status.workers.is_empty() {
        text.push('\n');
        table(&mut text, status, memory, now, style);
    }
    for rollout in &status.rollout {
        text.push('\n');
        describe(&mut text, rollout);
    }
    text
}

fn table(text: &mut String, status: &Status, memory: &Memory, now: SystemTime, style: &Style) {
    let rows: Vec<_> = status
        .workers
        .iter()
        .map(|worker| cells(worker, memory.get(&worker.instance).copied(), now))
        .collect();
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut widths: [usize; 8] = std::array::from_fn(|i| widest(i).max(COLUMNS[i].0.len()));
    let shown = fit(&mut widths, style.width);

    line(text, &COLUMNS.map(|(title, _)| title.to_owned()), &widths, &shown, None);
    for (row, worker) in rows.iter().zip(&status.workers) {
        line(text, row, &widths, &shown, style.colour.then(|| paint(worker.state)));
    }
}

/// Narrows `widths` to what the terminal has room for, and gives the columns that are left.
fn fit(widths: &mut [usize; 8], terminal: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
    let Some(terminal) = terminal else { return shown };
    loop {
        let total: usize = shown.iter().map(|i| widths[*i] + GAP).sum::<usize>().saturating_sub(GAP);
        let excess = total.saturating_sub(terminal);
        let last = COLUMNS.len() - 1;
        if excess == 0 {
            return shown;
        }
        if shown.contains(&last) && widths[last].saturating_sub(excess) >= COLUMNS[last].0.len() {
            widths[last] -= excess;
            return shown;
        }
        match shown.iter().copied().filter(|i| COLUMNS[*i].1 > 0).max_by_key(|i| COLUMNS[*i].1) {
            Some(least) => shown.retain(|i| *i != least),
            None => return shown,
        }
    }
}

fn line(text: &mut String, row: &[String; 8], widths: &[usize; 8], shown: &[usize], state: Option<Paint>) {
    let mut line = String::new();
    for column in shown {
        let cell = shortened(&row[*column], widths[*column]);
        let gap = " ".repeat(widths[*column] - cell.chars().count() + GAP);
        match state.filter(|_| *column == STATE) {
            Some(paint) => line.push_str(&format!("{paint}{cell}{paint:#}")),
            None => line.push_str(&cell),
        }
        line.push_str(&gap);
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn shortened(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn cells(worker: &Worker, memory: Option<u64>, now: SystemTime) -> [String; 8] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    [
        worker.unit.strip_suffix(".service").unwrap_or(&worker.unit).to_owned(),
        state(worker),
        if worker.pid == 0 { "-".to_owned() } else { worker.pid.to_string() },
        or_dash(&worker.release),
        since(worker.ready_since_usec, now).map_or_else(|| "-".to_owned(), uptime),
        worker.restarts.to_string(),
        memory.map_or_else(|| "-".to_owned(), bytes),
        or_dash(&worker.last_exit),
    ]
}

/// The state, with systemd's own word where that says more.
fn state(worker: &Worker) -> String {
    match worker.state {
        WorkerState::Ready => "ready".to_owned(),
        WorkerState::Starting if worker.sub_state == "auto-restart" => "starting (auto-restart)".to_owned(),
        WorkerState::Starting => "starting".to_owned(),
        WorkerState::Stopping => "stopping".to_owned(),
        WorkerState::Failed => "failed".to_owned(),
        WorkerState::Stopped => "stopped".to_owned(),
    }
}

fn paint(state: WorkerState) -> Paint {
    match state {
        WorkerState::Ready => AnsiColor::Green.on_default(),
        WorkerState::Starting | WorkerState::Stopping => AnsiColor::Yellow.on_default(),
        WorkerState::Failed => AnsiColor::Red.on_default().bold(),
        WorkerState::Stopped => Paint::new().dimmed(),
    }
}

/// The two greatest units of a time span: `2d 3h`.
fn uptime(span: Duration) -> String {
    let seconds = timespan::format(Duration::from_secs(span.as_secs()));
    if seconds == "0" { "0s".to_owned() } else { seconds.split(' ').take(2).collect::<Vec<_>>().join(" ") }
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

/// The rollout in a line or two; a failure with what the worker said last.
fn describe(text: &mut String, rollout: &Rollout) {
    let done = crate::reload::replaced(rollout);
    let state = crate::reload::state_name(rollout.state);
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "rollout {}: {state}, {done} of {} replaced, {}",
        rollout.id,
        rollout.steps.len(),
        crate::reload::releases(rollout),
    );
    if !rollout.message.is_empty() {
        let _ = writeln!(text, "  {}", rollout.message);
    }
    text.push_str(&crate::reload::failure(rollout, "  "));
}

#[cfg(test)]
pub(super) mod tests;
