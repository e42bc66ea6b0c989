//! Runs the orchestrator's decisions in a simulated world with faults: many schedules, one seed each.

use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};
use xshell::cmd;

use crate::workspace::Workspace;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// How many schedules
    #[arg(long, default_value_t = 200_000)]
    schedules: u64,
    /// The seed of the first schedule; each further schedule uses the next seed [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Show what happens in the first schedule, line by line
    #[arg(long)]
    trace: bool,
}

/// With at least this many schedules, every possible fault must have happened.
const MANY: u64 = 5_000;

/// How many of 100,000 schedules may break a law in [`quick`]. About one still does: one with two or three
/// faults at once, one of which is a slow decision of polkit or a full disk. The aim is zero. `cargo xtask
/// simulate` already tolerates none.
const TOLERATED: u64 = 2;

/// Runs as many schedules as every change has to pass.
pub(crate) fn quick(workspace: &Workspace) -> Result<()> {
    let seed = of_commit(workspace).map_or_else(from_clock, |seed| seed * 1_000_000);
    let report = simulate(seed, 200_000);
    tell(&report);
    let failed: u64 = report.failures.values().map(|(count, _)| count).sum();
    ensure!(
        failed * 100_000 <= TOLERATED * report.schedules,
        "{failed} of {} schedules break a law",
        report.schedules
    );
    ensure_all_happened(&report)
}

/// The seed of a commit. Each commit has its own, and it does not change. So running the tests again gives
/// the same result.
pub(crate) fn of_commit(workspace: &Workspace) -> Option<u64> {
    let shell = &workspace.shell;
    let commit = cmd!(shell, "git rev-parse --short=8 HEAD").quiet().ignore_stderr().read();
    commit.ok().and_then(|commit| u64::from_str_radix(&commit, 16).ok())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(from_clock);
    if options.trace {
        print_trace(seed);
    }
    let report = simulate(seed, options.schedules);
    if let Some(shortest) = report.failures.values().map(|(_, failure)| failure).min_by_key(|f| f.events) {
        if !options.trace {
            print_trace(shortest.seed);
        }
        tell(&report);
        bail!("{}: {}", shortest.violation.law, shortest.violation.seen);
    }
    if options.schedules >= MANY { ensure_all_happened(&report) } else { Ok(()) }
}

fn simulate(seed: u64, schedules: u64) -> simulator::Report {
    println!("simulating {schedules} schedules from seed {seed}");
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let report = simulator::simulate(seed, schedules, threads as u64);
    println!("{report}\nin {:.1} s", began.elapsed().as_secs_f64());
    report
}

/// Prints which laws were broken, and how to repeat that.
fn tell(report: &simulator::Report) {
    for (law, (count, failure)) in &report.failures {
        let seed = failure.seed;
        eprintln!(
            "{law}: not in {count} schedules; `cargo xtask simulate --schedules 1 --trace --seed {seed}` shows the shortest"
        );
    }
}

fn ensure_all_happened(report: &simulator::Report) -> Result<()> {
    let never: Vec<_> = report.never_struck().map(simulator::Class::words).collect();
    ensure!(never.is_empty(), "never happened: {}", never.join(", "));
    Ok(())
}

fn print_trace(seed: u64) {
    for line in simulator::trace(seed) {
        println!("{line}");
    }
}

/// A different seed on each call.
pub(crate) fn from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Seconds are short enough to type. Two runs one after another share no schedule.
    now.as_secs().wrapping_mul(1_000_000)
}
