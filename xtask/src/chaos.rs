//! Runs the chaos test for longer than the tests do, or again with the seed of a failure.

use anyhow::Result;
use machine::Suite;

use crate::{simulate, test, workspace::Workspace};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// For how many minutes on each suite
    #[arg(long, value_name = "M", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// What decides which actions there are; without it one from the clock
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The round to begin with: each depends on the seed and its number only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    round: u64,
    /// The release of Debian, bookworm or trixie; without it one after the other
    #[arg(long, value_name = "SUITE", value_parser = suite)]
    suite: Option<Suite>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let seconds = u64::from(options.minutes) * 60;
    let variables = [
        (test::CHAOS_SEED, options.seed.unwrap_or_else(simulate::from_clock)),
        ("APP_CLUSTER_CHAOS_SECONDS", seconds),
        ("APP_CLUSTER_CHAOS_ROUND", options.round),
    ];
    let set = |(name, value): (&str, u64)| workspace.shell.push_env(name, value.to_string());
    let _environment: Vec<_> = variables.into_iter().map(set).collect();
    test::run(workspace, &test::Options::chaos(options.suite))
}

fn suite(name: &str) -> Result<Suite, String> {
    let suite = Suite::ALL.into_iter().find(|suite| suite.name() == name);
    suite.ok_or_else(|| "expected bookworm or trixie".to_owned())
}
