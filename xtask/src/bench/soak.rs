//! Many rollouts in a row, under load: the orchestrator's size must stay constant.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use client::Report;
use serde_json::Value;

use super::{
    Findings,
    cluster::Cluster,
    table::{grouped, long, markdown, millis, signed},
    trend::{median, slope},
};
use crate::demo;

/// How often the orchestrator is sampled.
const SAMPLES: u32 = 100;

/// malloc takes at least 32 bytes from the heap for an allocation. So an orchestrator that leaks one
/// allocation per rollout grows by 31 KiB in 1,000. If it grows by less than half of that, it leaks nothing.
const FLAT_KIB: f64 = 16.0;

/// malloc takes more memory whenever more happens at once than ever before: 76 KiB in total after the first
/// rollouts. Only over this many rollouts is that less than a leak.
const ROLLOUTS_FOR_A_VERDICT: u32 = 8000;

/// A rollout usually takes half a second. One that takes longer than this has waited for something, and its
/// journal is kept.
const SLOW: Duration = Duration::from_secs(3);

/// The sampled values.
const WHAT: [&str; 5] =
    ["resident (VmRSS), KiB", "anonymous (RssAnon), KiB", "descriptors", "threads", "match rules"];
/// For these values the slope is judged. The values after them must not change at all.
const MEMORY: usize = 2;
/// The kernel changes file pages as it likes, so only this value counts as memory.
const ANONYMOUS: usize = 1;

/// The orchestrator after a number of rollouts.
struct Sample {
    rollouts: u32,
    values: [u64; WHAT.len()],
}

pub(super) fn run(cluster: &Cluster, client: &Path, rollouts: u32) -> Result<Findings> {
    cluster.resize(2, Duration::ZERO)?;
    let (pid, _) = cluster.orchestrator()?;
    let load = demo::load(&cluster.machine, client)?;
    let begun = Instant::now();
    let mut samples = vec![sample(cluster, pid, 0)?];
    let mut times = Vec::new();
    for done in 1..=rollouts {
        let took = cluster.reload()?;
        if took > SLOW {
            keep_journal(cluster, done, took)?;
        }
        times.push(took);
        if done.is_multiple_of(rollouts / SAMPLES.min(rollouts)) || done == rollouts {
            samples.push(sample(cluster, pid, done)?);
        }
        if done.is_multiple_of(rollouts.div_ceil(10)) {
            eprintln!("xtask: {done} of {rollouts} rollouts in {}", long(begun.elapsed()));
        }
    }
    let took = begun.elapsed();
    let report = demo::report(load.stop())?;
    ensure!(cluster.orchestrator()? == (pid, 0), "the orchestrator was restarted");
    Ok(findings(&samples, &times, took, &report))
}

fn keep_journal(cluster: &Cluster, rollout: u32, took: Duration) -> Result<()> {
    let since = format!("--since=-{}s", took.as_secs() + 2);
    let text = cluster.machine.run(["journalctl", "--output=short-precise", &since]).into_success()?;
    let path = std::env::temp_dir().join(format!("app-cluster-slow-rollout-{rollout}.log"));
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    eprintln!("xtask: rollout {rollout} took {}, its journal is {}", long(took), path.display());
    Ok(())
}

fn sample(cluster: &Cluster, pid: u32, rollouts: u32) -> Result<Sample> {
    // The end of a rollout is reported to systemd over a socket that exists only for that.
    cluster.until_at_rest(pid)?;
    let proc = cluster.proc(pid);
    let status = fs::read_to_string(proc.join("status")).context("failed to look at the orchestrator")?;
    let number = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        value.with_context(|| format!("the kernel does not tell {name}"))
    };
    let descriptors = fs::read_dir(proc.join("fd")).context("failed to list its descriptors")?.count() as u64;
    let values =
        [number("VmRSS")?, number("RssAnon")?, descriptors, number("Threads")?, match_rules(cluster)?];
    Ok(Sample { rollouts, values })
}

/// How many match rules the bus has for the orchestrator.
fn match_rules(cluster: &Cluster) -> Result<u64> {
    let call = "busctl --json=short call org.freedesktop.DBus /org/freedesktop/DBus \
        org.freedesktop.DBus.Debug.Stats GetConnectionStats s org.appcluster1";
    let json = cluster.machine.run(call.split_whitespace()).into_success()?;
    let stats: Value = serde_json::from_str(&json).context("busctl prints JSON")?;
    stats["data"][0]["MatchRules"]["data"].as_u64().with_context(|| format!("no match rules in {json}"))
}

fn findings(samples: &[Sample], times: &[Duration], took: Duration, report: &Report) -> Findings {
    let rollouts = samples.last().map_or(0, |sample| sample.rollouts);
    // An allocation that happens once and is kept is no leak. So the first tenth does not count.
    let steady: Vec<&Sample> = samples.iter().filter(|sample| sample.rollouts >= rollouts / 10).collect();
    let mut rows: Vec<Vec<String>> = (0..WHAT.len()).map(|what| row(what, samples, &steady)).collect();
    rows.push(rollout_times(times));
    let marks = [0, 1, 2, 3, 4].map(|quarter| grouped(u64::from(rollouts * quarter / 4)));
    let mut header = vec!["after so many rollouts"];
    header.extend(marks.iter().map(String::as_str));
    header.extend(["least", "most", "per 1,000"]);

    let broken = broken(&steady, rollouts, report);
    let verdict = match broken.as_slice() {
        [] if rollouts < ROLLOUTS_FOR_A_VERDICT => {
            "Verdict: too few rollouts for one about memory.".to_owned()
        }
        [] => "Verdict: flat.".to_owned(),
        broken => format!("Verdict: **{}**.", broken.join("; ")),
    };
    let text = format!(
        "{} rollouts of 2 workers in a row by `systemctl reload app-cluster`, settle 0, took {}. Meanwhile 20 connections\n\
         that are kept alive, idle for up to 20 ms between two requests, sent {} requests: {} lost.\n\n\
         {}\n\
         Least, most and the slope of a fitted line leave out the first tenth. Flat means: descriptors, threads and match\n\
         rules do not change, and anonymous memory grows by less than {FLAT_KIB} KiB in 1,000 rollouts, half of what the\n\
         smallest allocation (32 bytes) costs that is forgotten in each. {verdict}\n",
        grouped(u64::from(rollouts)),
        long(took),
        grouped(report.sent),
        grouped(report.failed()),
        markdown(&header, &rows),
    );
    Findings { text, broken }
}

fn row(what: usize, samples: &[Sample], steady: &[&Sample]) -> Vec<String> {
    let last = samples.len().saturating_sub(1);
    let marks = (0..=4).filter_map(|quarter| samples.get(last * quarter / 4));
    let mut row = vec![WHAT[what].to_owned()];
    row.extend(marks.map(|sample| grouped(sample.values[what])));
    let (least, most) = range(what, steady);
    row.extend([grouped(least), grouped(most), signed(growth(what, steady))]);
    row
}

/// The median of each quarter, in the column of the quarter's end.
fn rollout_times(times: &[Duration]) -> Vec<String> {
    let end = |quarter: usize| times.len() * quarter / 4;
    let quarters = (1..=4).filter_map(|quarter| median(&times[end(quarter - 1)..end(quarter)]));
    let extremes = [times.iter().min(), times.iter().max()].into_iter().flatten();
    let mut row = vec!["one rollout, ms (median of the quarter)".to_owned(), String::new()];
    row.extend(quarters.map(millis));
    row.extend(extremes.copied().map(millis));
    row.push(String::new());
    row
}

fn range(what: usize, steady: &[&Sample]) -> (u64, u64) {
    let values = || steady.iter().map(|sample| sample.values[what]);
    (values().min().unwrap_or(0), values().max().unwrap_or(0))
}

/// By how much the value grows in 1,000 rollouts.
fn growth(what: usize, steady: &[&Sample]) -> f64 {
    let point = |sample: &&Sample| (f64::from(sample.rollouts) / 1000.0, sample.values[what] as f64);
    slope(&steady.iter().map(point).collect::<Vec<_>>())
}

fn broken(steady: &[&Sample], rollouts: u32, report: &Report) -> Vec<String> {
    let mut broken = Vec::new();
    if !report.is_clean() {
        broken.push(format!("{} of {} requests were lost", report.failed(), report.sent));
    }
    for (what, name) in WHAT.iter().enumerate().skip(MEMORY) {
        let (least, most) = range(what, steady);
        if least != most {
            broken.push(format!("{name} went from {least} to {most}"));
        }
    }
    let growth = growth(ANONYMOUS, steady);
    if rollouts >= ROLLOUTS_FOR_A_VERDICT && growth >= FLAT_KIB {
        broken.push(format!("memory grows by {growth:.1} KiB in 1,000 rollouts"));
    }
    broken
}
