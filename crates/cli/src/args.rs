//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use config::Workers;

/// The version: what the build says, else that of the source.
const VERSION: &str = match option_env!("APP_CLUSTER_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

const LONG_ABOUT: &str = "\
Runs one network service as several workers that share a socket held by systemd, and replaces them \
one after another without losing a request.

The cluster itself is operated with systemctl: start, stop, reload app-cluster. Its log is in the \
journal: journalctl -u app-cluster -u 'worker@*'.";

const EXIT_STATUS: &str = "\
Exit status:
   0  done
   1  the operation failed, nothing was changed
   2  the rollout failed, the old release is back on every worker
   3  the rollout failed or was stopped, the cluster is not whole
   4  refused: not possible now, or not permitted
  64  wrong command line
  75  the orchestrator cannot be reached or went away; try again
  78  the configuration or a unit is wrong
 130  interrupted twice; the orchestrator goes on";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "app-cluster",
    version = VERSION,
    about = "Workers that share a socket, replaced one after another",
    long_about = LONG_ABOUT,
    after_long_help = EXIT_STATUS,
    disable_help_subcommand = true,
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the workers and the last rollout
    #[command(after_long_help = "\
Examples:
  app-cluster status
  app-cluster status --watch
  app-cluster status --json | jq '.workers[] | {unit, release, memory_bytes}'

Needs no privileges. UPTIME counts from the moment the worker said it was ready. MEM is the memory of \
the worker's control group. RESTARTS counts what systemd restarted by itself; a rollout is none.")]
    Status(StatusOptions),

    /// Replace all workers, one after another, and wait for the end
    #[command(after_long_help = "\
Examples:
  sudo systemctl reload app-cluster    what it is for: systemd runs this command
  sudo app-cluster reload              the same with progress on the terminal

The rollout stops at the first worker that fails; those already replaced are put back on the release \
they ran before. The exit status tells how it ended, see app-cluster --help. Ctrl-C ends the rollout \
after the worker it is at; a second Ctrl-C leaves it to the orchestrator.")]
    Reload,

    /// Change the number of workers
    #[command(after_long_help = "\
Examples:
  sudo app-cluster scale 8
  sudo app-cluster scale auto          one worker per CPU
  sudo app-cluster scale 12 --runtime  until the next boot, or the next scale without --runtime

Writes /etc/app-cluster/conf.d/90-scale.toml (with --runtime \
/run/app-cluster/conf.d/91-scale-runtime.toml) and applies it. No worker that stays is restarted. \
Whatever goes wrong, the files are left as they were.")]
    Scale(ScaleOptions),

    /// Check configuration and units, and say what to write where they are wrong
    #[command(after_long_help = "\
Examples:
  app-cluster check
  app-cluster check --root /srv/image

Reads the same files as the orchestrator and systemd do, with drop-ins, and changes nothing. A problem \
is one line: file, line, key, what is wrong, what to write. The exit status is 78 if there is any.")]
    Check {
        /// Check the installation below this directory
        #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
        root: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusOptions {
    /// Print it as JSON
    ///
    /// The fields are those of Status() on the D-Bus interface org.appcluster1, and memory_bytes for
    /// each worker: null where it is not known.
    #[arg(long)]
    pub(crate) json: bool,

    /// Show it anew every second, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScaleOptions {
    /// A number from 1 to 500, or auto: one for each CPU
    #[arg(value_name = "N")]
    pub(crate) workers: Workers,

    /// Until the next boot only
    #[arg(long)]
    pub(crate) runtime: bool,

    /// Where the configuration of the running orchestrator is, for tests of this command
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub(crate) root: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn workers_are_parsed_where_they_are_typed() {
        let parse = |n| Args::try_parse_from(["app-cluster", "scale", n]).map(|args| args.verb);
        assert!(matches!(
            parse("4"),
            Ok(Verb::Scale(ScaleOptions { workers: Workers::Count(_), runtime: false, .. }))
        ));
        assert!(matches!(parse("auto"), Ok(Verb::Scale(ScaleOptions { workers: Workers::Auto, .. }))));
        assert!(parse("0").is_err_and(|e| e.to_string().contains("from 1 to 500")));
    }
}
