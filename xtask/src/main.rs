//! The project's own tasks: `cargo xtask --help`.
//!
//! One module per task. They share `workspace` (paths and cargo) and `host` (the machine that this program
//! runs on).

mod bench;
mod chaos;
mod checkout;
mod ci;
mod deb;
mod demo;
mod docs;
mod enter;
mod faults;
mod fuzz;
mod host;
mod interface;
mod purity;
mod simulate;
mod test;
mod tools;
mod tree;
mod up;
mod words;
mod workspace;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::Parser;

use crate::workspace::Workspace;

/// Build the package, boot it, test it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Build the Debian package; its path is the last line of standard output
    Deb(deb::Options),
    /// Boot a Debian machine with the package installed, serving on http://localhost:8080
    ///
    /// On a terminal it stays until Ctrl-C. Without a terminal it shows a reload and a kill -9 under load,
    /// and fails if a request was lost.
    Up(up::Options),
    /// Run a command in the machine of `cargo xtask up`, as root
    Enter {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Run the tests, each promise with as many requests as fit into CI
    Test(test::Options),
    /// Simulate rollouts in which anything can fail, from a seed that replays them
    Simulate(simulate::Options),
    /// Let operators and faults disturb a booted machine together, from a seed that repeats them
    Chaos(chaos::Options),
    /// Put known faults back into the deciding crate, one at a time, and check that the simulator finds each
    Faults(faults::Options),
    /// Run libFuzzer on the parsers of untrusted input, and stop at the first crash
    Fuzz(fuzz::Options),
    /// Compare the libraries' public interfaces with the committed lists, and check that they could be
    /// published
    Interface(interface::Options),
    /// Measure what takes too long for a test, and write it into docs/benchmarks.md
    Bench(bench::Options),
    /// Check the words and the sentences of the documents, the man pages and the help texts
    Words,
    /// Check everything that a change must pass: what .ci/run calls
    Ci,
}

fn main() -> ExitCode {
    let task = Task::parse();
    match Workspace::open().and_then(|workspace| carry_out(&workspace, task)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(workspace: &Workspace, task: Task) -> Result<()> {
    let _claim = checkout::claim(workspace)?;
    match task {
        Task::Deb(options) => deb::run(workspace, &options),
        Task::Up(options) => up::run(workspace, &options),
        Task::Enter { command } => enter::run(workspace, &command),
        Task::Test(options) => test::run(workspace, &options),
        Task::Simulate(options) => simulate::run(&options),
        Task::Chaos(options) => chaos::run(workspace, &options),
        Task::Faults(options) => faults::run(workspace, &options),
        Task::Fuzz(options) => fuzz::run(workspace, &options),
        Task::Interface(options) => interface::run(workspace, &options),
        Task::Bench(options) => bench::run(workspace, &options),
        Task::Words => words::run(workspace),
        Task::Ci => ci::run(workspace),
    }
}
