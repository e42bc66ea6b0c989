//! The command `app-cluster`: what people type, and what `ExecReload=` of `app-cluster.service` runs.
//!
//! Each verb has a file. `args` defines the command line and `exit` the exit status. `bus` connects to the
//! orchestrator. All verbs that follow a rollout share `rollout`.

mod abort;
mod age;
mod args;
mod asker;
mod bus;
mod check;
mod clock;
mod deploy;
mod exit;
mod instead;
mod listener;
mod output;
mod pause;
mod rebind;
mod releases;
mod reload;
mod resume;
mod rollback;
mod rollout;
mod scale;
mod status;
mod table;
mod terminal;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use args::{Args, Verb};
pub use exit::Exit;

/// The command line, for man pages and shell completions.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command with `args` and returns its exit status. The first of `args` is the name of the command.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let exit = match Args::try_parse_from(args) {
        Ok(args) => perform(args.verb).unwrap_or_else(|error| {
            output::complain(&format!("app-cluster: {error:#}\n"));
            Exit::of(&error)
        }),
        Err(usage) => {
            match instead::of(&usage) {
                Some(sentence) => output::complain(&format!("app-cluster: {sentence}\n")),
                // If the terminal is gone, there is no other place for the message.
                None => drop(usage.print()),
            }
            if usage.use_stderr() { Exit::Usage } else { Exit::Done }
        }
    };
    exit.into()
}

fn perform(verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Status(options) => wait_for(status::run(options)),
        Verb::Reload => wait_for(reload::run()),
        Verb::Deploy(options) => wait_for(deploy::run(&options)),
        Verb::Rollback { id } => wait_for(rollback::run(id.as_deref())),
        Verb::Releases(options) => wait_for(releases::run(options)),
        Verb::Pause => wait_for(pause::run()),
        Verb::Resume { no_wait } => wait_for(resume::run(no_wait)),
        Verb::Abort { rollout } => wait_for(abort::run(rollout)),
        Verb::Scale(options) => wait_for(scale::run(&options)),
        Verb::Check { root } => check::run(&root),
        Verb::Rebind => wait_for(rebind::run()),
    }
}

fn wait_for(verb: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(verb)
}
