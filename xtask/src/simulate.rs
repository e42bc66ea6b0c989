//! The decisions of the rollout against a world that goes wrong: many schedules, one seed each.

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
    /// The seed of the first schedule, each further one has the next; without it one from the clock
    #[arg(long)]
    seed: Option<u64>,
    /// Tell what happens in the first schedule, line by line
    #[arg(long)]
    trace: bool,
}

/// From this many schedules on everything that can go wrong has to have gone wrong.
const MANY: u64 = 5_000;

/// As many schedules as every change has to pass. Each commit has its own, and always the same: who runs it again
/// comes to the same verdict.
pub(crate) fn quick(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    let commit = cmd!(shell, "git rev-parse --short=8 HEAD").quiet().ignore_stderr().read();
    let seed = commit.ok().and_then(|commit| u64::from_str_radix(&commit, 16).ok());
    run(&Options { schedules: 200_000, seed: seed.map(|seed| seed * 1_000_000), trace: false })
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(from_clock);
    println!("simulating {} rollouts from seed {seed}", options.schedules);
    if options.trace {
        print_trace(seed);
    }
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let report = simulator::simulate(seed, options.schedules, threads as u64);
    println!("{report}\nin {:.1} s", began.elapsed().as_secs_f64());
    if let Some(shortest) = report.failures.values().map(|(_, failure)| failure).min_by_key(|f| f.events) {
        if !options.trace {
            print_trace(shortest.seed);
        }
        for (law, (count, failure)) in &report.failures {
            eprintln!("{law}: not in {count} schedules, the shortest has seed {}", failure.seed);
        }
        bail!(
            "{}: {}\nreplay it with `cargo xtask simulate --schedules 1 --trace --seed {}`",
            shortest.violation.law,
            shortest.violation.seen,
            shortest.seed
        );
    }
    let never: Vec<_> = report.never_struck().map(simulator::Class::words).collect();
    ensure!(options.schedules < MANY || never.is_empty(), "never happened: {}", never.join(", "));
    Ok(())
}

fn print_trace(seed: u64) {
    for line in simulator::trace(seed) {
        println!("{line}");
    }
}

fn from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Seconds are short enough to be typed, and two runs one after another share no schedule.
    now.as_secs().wrapping_mul(1_000_000)
}
