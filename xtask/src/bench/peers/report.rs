//! The figures, side by side.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    load::MODES,
    measured::{Measured, median_millis},
    peer::PEERS,
    visit::Plan,
};
use crate::bench::{
    Findings,
    table::{grouped, markdown},
    trend::median,
};

pub(super) fn findings(
    plan: &Plan,
    measured: &[Measured],
    in_turns: &[String],
    versions: &str,
) -> Result<Findings> {
    let header: Vec<&str> = std::iter::once("").chain(PEERS.iter().map(|peer| peer.name)).collect();
    let mut text = introduction(plan, versions)?;
    text += &markdown(&header, &rows(measured));
    text.push('\n');
    for sentence in in_turns {
        writeln!(text, "{}\n", wrapped(sentence, ""))?;
    }
    text += EXPLANATION;
    Ok(Findings { text, broken: broken(measured) })
}

/// The promises of app-cluster, whatever the other peers do.
fn broken(measured: &[Measured]) -> Vec<String> {
    let ours = measured.first().map(|ours| ours.losses).unwrap_or_default();
    let lost = ours.iter().zip(MODES).filter(|(losses, _)| losses.lost > 0);
    lost.map(|(losses, (mode, _))| {
        format!("with {mode}, rollouts lost {} of {} requests", losses.lost, losses.sent)
    })
    .collect()
}

fn introduction(plan: &Plan, versions: &str) -> Result<String> {
    let mut text = format!(
        "{versions}\n\n\
        4 workers each, answering `GET /` with the same few bytes of JSON on a port of 127.0.0.1. Started, measured and\n\
        stopped one after another, {}; medians, and in brackets the ratio to app-cluster. The client is the strict one of the\n\
        tests: it never tries again. It shares the machine with what it measures; where it\n\
        times answers, the scheduler takes it first (`chrt --fifo 1`), so that it does not time its own wait for a CPU.\n\n",
        if plan.rounds == 1 { "once".to_owned() } else { format!("{} times over", plan.rounds) },
    );
    for peer in &PEERS {
        writeln!(text, "{}", wrapped(&format!("- **{}**: {}.", peer.name, peer.settings), "  "))?;
    }
    text.push('\n');
    Ok(text)
}

/// Wraps text to the line length of the other documents. All lines but the first are indented.
fn wrapped(item: &str, indent: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in item.split(' ') {
        let length = word.chars().count();
        if width + 1 + length > 120 {
            text.push('\n');
            text += indent;
            width = indent.len();
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += length;
    }
    text
}

fn rows(measured: &[Measured]) -> Vec<Vec<String>> {
    let mut rows = Rows { measured, rows: Vec::new() };
    rows.compared("requests/s, kept alive", 0, |of| median(&of.throughput[0]));
    rows.compared("requests/s, a connection for each", 0, |of| median(&of.throughput[1]));
    rows.plain("lost at rest", |of| grouped(of.lost_at_rest));
    rows.compared("answer at rest, ms: median", 2, |of| of.at_rest.median(|latency| latency.p50_us));
    rows.compared("at rest, 99 of 100 are faster", 2, |of| of.at_rest.median(|latency| latency.p99_us));
    rows.compared("at rest, 999 of 1,000 are faster", 2, |of| of.at_rest.median(|latency| latency.p999_us));
    rows.compared("answer in rollouts, ms: median", 2, |of| of.rolling.median(|latency| latency.p50_us));
    rows.compared("in rollouts, 99 of 100 are faster", 2, |of| of.rolling.median(|latency| latency.p99_us));
    rows.compared("in rollouts, 999 of 1,000 are faster", 2, |of| {
        of.rolling.median(|latency| latency.p999_us)
    });
    for (place, (mode, _)) in MODES.iter().enumerate() {
        let what = format!("**lost in a rollout**, {mode}");
        rows.plain(&what, |of| shown(of.losses[place].per_rollout().map(few)));
        rows.plain("of so many requests in all", |of| shown(of.losses[place].requests().map(grouped)));
    }
    rows.compared("rollout of idle workers, ms", 0, |of| median_millis(&of.rollouts));
    rows.compared("crash: until a new process answers, ms", 0, |of| {
        median_millis(&of.crashes.iter().map(|crash| crash.recovery).collect::<Vec<_>>())
    });
    rows.plain("requests that hung, each", |of| each(of, |hung, _| hung));
    rows.plain("requests that were cut, each", |of| each(of, |_, cut| cut));
    rows.plain("64 connections at once", |of| shown(median(&of.bursts)));
    rows.plain("400 one after another", |of| shown(median(&of.spaced)));
    rows.compared("supervisor, MiB", 1, |of| median(&of.supervisor).map(mebibytes));
    rows.compared("one worker, MiB", 1, |of| median(&of.worker).map(mebibytes));
    rows.compared("status command, ms", 0, |of| median_millis(&of.status));
    rows.rows
}

/// One row for each figure, one column for each peer.
struct Rows<'a> {
    measured: &'a [Measured],
    rows: Vec<Vec<String>>,
}

impl Rows<'_> {
    fn plain(&mut self, what: &str, of: impl Fn(&Measured) -> String) {
        let cells = self.measured.iter().map(of);
        self.rows.push(std::iter::once(what.to_owned()).chain(cells).collect());
    }

    /// A row with the ratio to the first peer.
    fn compared(&mut self, what: &str, places: usize, of: impl Fn(&Measured) -> Option<f64>) {
        let ours = self.measured.first().and_then(&of);
        let mut is_first = true;
        let cells = self.measured.iter().map(|measured| {
            let ours = ours.filter(|ours| *ours > 0.0 && !std::mem::take(&mut is_first));
            cell(of(measured), ours, places)
        });
        let row = std::iter::once(what.to_owned()).chain(cells).collect();
        self.rows.push(row);
    }
}

/// `1,234 (0.56)`, or a dash if there is no value.
fn cell(value: Option<f64>, ours: Option<f64>, places: usize) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let number = if places == 0 { grouped(value.round() as u64) } else { format!("{value:.places$}") };
    match ours {
        Some(ours) => format!("{number} ({})", few(value / ours)),
        None => number,
    }
}

/// As many digits as are meaningful: `0`, `0.05`, `1.25`, `17.3`, `1,042`.
fn few(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => grouped(value.round() as u64),
    }
}

fn each(of: &Measured, count: impl Fn(u64, u64) -> u64) -> String {
    let sum: u64 = of.crashes.iter().map(|crash| count(crash.hung, crash.cut)).sum();
    few(sum as f64 / of.crashes.len().max(1) as f64)
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

const EXPLANATION: &str = "\
Requests: as fast as they are answered on 32 connections. Who spreads them evenly has all workers compete with the
client for the CPUs, and answers fewer than who leaves most of them to one or two workers. Answers: 1,000 requests a
second on 32 connections, timed from when each was due and not from when it could be sent, so that whoever makes others
wait is charged for all of them; requests that were lost have no time. In rollouts: while one follows the other. Lost:
on 32 connections that pause so long between two requests, mean of all rollouts; the client counts as lost what was sent
and not answered whole within 2 s, and what is due on a connection that the server closed without having said so in the
answer before (`Connection: close`) or by GOAWAY. A rollout has ended when its
command has and all workers are other processes. Crash: SIGKILL for a worker while connections are always waiting; hung
is what only the client's 2 s ended, cut is every other loss. Bodies have up to 4 KB and are echoed, with a pause of
0–20 ms; slow uploads come in four pieces; HTTP/2 has 32 requests at once on each of 4 connections, and a worker of
app-cluster takes up to 2 s to take leave of each. A dash stands for what a peer does not do. Connections by worker,
most first, in the median round; the 64 stay open until all are answered. Memory is Pss (/proc/PID/smaps_rollup) after
the load; plain axum has no supervisor beside systemd. The status commands are `app-cluster status`, `systemctl status
'plain@*'` and `pm2 list`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_item_goes_on_below_its_first_word() {
        let words = "word ".repeat(50);
        let text = wrapped(&format!("- {}", words.trim_end()), "  ");
        assert!(text.lines().all(|line| line.len() <= 120) && text.lines().count() == 3, "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("  word")), "{text}");
        assert_eq!(wrapped("- short", "  "), "- short");
    }

    #[test]
    fn a_cell_has_a_ratio_only_to_something() {
        assert_eq!(cell(Some(1234.4), None, 0), "1,234");
        assert_eq!(cell(Some(3.21), Some(0.6), 1), "3.2 (5.35)");
        assert_eq!(cell(None, Some(1.0), 0), "–");
    }

    #[test]
    fn the_ratio_is_to_the_first() {
        let measured = [2.0, 1.0, 500.0]
            .map(|rate| Measured { throughput: [vec![rate], vec![]], ..Measured::default() });
        let mut rows = Rows { measured: &measured, rows: Vec::new() };
        rows.compared("rate", 1, |of| median(&of.throughput[0]));
        rows.compared("other rate", 1, |of| median(&of.throughput[1]));
        assert_eq!(rows.rows[0], ["rate", "2.0", "1.0 (0.50)", "500.0 (250)"]);
        assert_eq!(rows.rows[1], ["other rate", "–", "–", "–"]);
    }

    #[test]
    fn numbers_have_as_many_places_as_say_something() {
        assert_eq!([0.0, 0.05, 17.25, 1042.4].map(few), ["0", "0.05", "17.2", "1,042"]);
    }
}
