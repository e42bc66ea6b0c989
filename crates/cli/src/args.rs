//! What can be typed.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand, ValueHint, value_parser};
use config::Workers;

const LONG_ABOUT: &str = "\
Runs one network service as several workers that share a socket held by systemd, and replaces them \
one after another without losing a request.

The cluster itself is operated with systemctl: start, stop, reload app-cluster. Its log is in the \
journal: journalctl -u app-cluster -u 'worker@*'.";

const EXIT_STATUS: &str = "\
Exit status:
   0  done
   1  the operation failed or was ended on request, no release was changed
   2  the rollout failed or was aborted, the old release is back on every worker
   3  the rollout failed, the cluster is not whole
   4  refused: not possible now, not permitted, or no such release or rollout
  64  wrong command line
  75  the orchestrator cannot be reached or went away; try again
  78  the configuration or a unit is wrong
 130  interrupted and not waited for; the orchestrator goes on";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "app-cluster",
    version,
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
  app-cluster status --json | jq '.workers[] | {unit, release, requests: .counters.requests}'

Needs no privileges. UPTIME is the time since the worker became ready. MEM is the memory of the worker's \
control group. RESTARTS is how often systemd restarted the worker by itself; a rollout does not count. An \
extra worker exists only for the rollout.

The second table is what the workers count on the scoreboard since their processes began. CONNS and IN \
FLIGHT are the connections and requests of this moment. 5XX is the share of answers with 5xx. Half of the \
requests were answered within P50, and 99 of 100 within P99.

CPU (100% is one processor) and REQ/S are means since the process began, and with --watch those of the \
last second. A worker that does not count has dashes. If no worker counts, there is no second table.")]
    Status(StatusOptions),

    /// Replace all workers, one after another, and wait for the end
    #[command(after_long_help = "\
Examples:
  sudo systemctl reload app-cluster    the usual way: systemd runs this command
  sudo app-cluster reload              the same with progress on the terminal

The rollout stops at the first worker that fails. The workers already replaced go back to the release \
they ran before, unless rollout.on_failure is halt. The exit status tells how the rollout ended; see \
app-cluster --help.

Ctrl-C aborts the rollout: replaced workers go back to the old release. If the release is the same, the \
rollout ends after the workers in progress. A second Ctrl-C leaves the rollout to the orchestrator.")]
    Reload,

    /// Roll the workers to another program
    #[command(after_long_help = "\
Examples:
  sudo app-cluster deploy target/release/shop
  sudo app-cluster deploy ./shop --id 2026-11-22
  sudo app-cluster deploy /srv/shop/1.4     a directory with an executable `worker` in it
  sudo app-cluster deploy ./shop --canary 1

The orchestrator copies a file, so you can remove it afterwards. It does not copy a directory: workers \
execute the program `worker` in it. So keep the directory, and let the user app-cluster-worker read it. It \
cannot be in /home, /root or /tmp, which systemd hides from the orchestrator.

With --canary the command ends with status 0 as soon as K workers run the release. Extra workers come \
first, and count. The rollout then waits for app-cluster resume or app-cluster abort. Without --canary the \
command ends as app-cluster reload does. Ctrl-C aborts.")]
    Deploy(DeployOptions),

    /// Roll the workers back to a release that is on disk
    #[command(after_long_help = "\
Examples:
  sudo app-cluster rollback            to the release before
  sudo app-cluster rollback 1.2.0      to this one, see app-cluster releases

It is a rollout like any other. The command ends as app-cluster reload does. Ctrl-C aborts.")]
    Rollback {
        /// A release that `app-cluster releases` shows
        #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new(), value_hint = ValueHint::Other)]
        id: Option<String>,
    },

    /// Show the releases on disk and the rollouts of the past
    #[command(after_long_help = "\
Examples:
  app-cluster releases
  app-cluster releases --json | jq '.history[0]'

Needs no privileges. The asterisk marks the release that a worker would run if it started now. A release \
is rejected if the last rollout to it failed. DIRECTORY is the directory of a release that was not copied. \
The newest is first.")]
    Releases(ReleasesOptions),

    /// Take no further worker in the running rollout
    #[command(after_long_help = "\
Examples:
  sudo app-cluster pause
  sudo app-cluster resume              goes on
  sudo app-cluster abort               goes back to the old release

The orchestrator first finishes the workers in progress. The time of the pause does not count for the \
rollout's deadline.")]
    Pause,

    /// Go on with a paused rollout, and wait for the end
    #[command(after_long_help = "\
Examples:
  sudo app-cluster resume
  sudo app-cluster resume --no-wait

The command ends as app-cluster reload does. Ctrl-C aborts.")]
    Resume {
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },

    /// End a rollout and go back to the old release
    #[command(after_long_help = "\
Examples:
  sudo app-cluster abort                  the running one
  sudo app-cluster abort 1763811642000    this one, which may be waiting for its turn

Replaced workers go back to the release they ran before, and the command waits for that. If the release is \
the same, the rollout ends after the workers in progress.

The exit status is 0 if the old release is back or nothing was changed. It is 1 if the rollout was done \
before it could be aborted, and 3 if the cluster is not whole.")]
    Abort {
        /// The rollout's id, as `app-cluster status` shows it
        #[arg(value_name = "ROLLOUT", value_parser = value_parser!(u64).range(1..), value_hint = ValueHint::Other)]
        rollout: Option<u64>,
    },

    /// Change the number of workers
    #[command(after_long_help = "\
Examples:
  sudo app-cluster scale 8
  sudo app-cluster scale auto          one worker per CPU
  sudo app-cluster scale 12 --runtime  until the next boot, or the next scale without --runtime

Writes /etc/app-cluster/conf.d/90-scale.toml (with --runtime \
/run/app-cluster/conf.d/91-scale-runtime.toml) and applies it. No worker that stays is restarted. \
If the command is refused, the files stay as they were.

The command ends when the new workers are ready and the surplus ones have ended. If a new worker fails to \
start, the command ends with status 1; the number stays, and the worker is tried again. Ctrl-C leaves the \
rest to the orchestrator. During a rollout the number takes effect at its end, and the command does not \
wait for that.")]
    Scale(ScaleOptions),

    /// Make systemd listen on the addresses of the edited socket unit
    #[command(after_long_help = "\
Examples:
  sudo systemctl edit app-cluster.socket    an empty ListenStream= first, then the addresses
  sudo app-cluster rebind

systemd opens addresses when the socket unit starts, and cannot start it while the cluster runs. So this \
command restarts app-cluster.target. The workers answer what they have begun, and then everything starts \
again. In between, connections are refused.

The command stops nothing, and ends with status 4 or 78, in each of these cases.
  another program has a new address
  another address of the unit includes a new address
  this machine does not have a new address
  the unit names an address that cannot be checked: with a specifier or a network interface, or vsock
  `app-cluster check` finds a problem
  a rollout is in progress

If the cluster is stopped, the command only makes systemd read the unit.

Run it right after the edit. Once systemd has read the file, it no longer hands the old listener to \
workers that start: a worker that crashes does not come back.")]
    Rebind,

    /// Check configuration and units, and say what to write instead
    #[command(after_long_help = "\
Examples:
  app-cluster check
  app-cluster check --root /srv/image

Reads the same files as the orchestrator and systemd do, with drop-ins, and changes nothing. systemd \
itself judges the units (systemd-analyze verify). Files and programs are checked as the unit's user sees \
them.

If systemd runs, the command also checks what systemd has loaded. It finds files that systemd has not \
read, an address on which it does not listen, and an orchestrator that it cannot start.

A problem is one line: file, line, key, what is wrong, what to write. The exit status is 78 if there is a \
problem; a warning does not count. The command names what it was not permitted to read. root may read \
everything.")]
    Check {
        /// Check the installation below this directory
        #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true, value_hint = ValueHint::DirPath)]
        root: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusOptions {
    /// Print it as JSON
    ///
    /// The fields are those of GetStatus() on the D-Bus interface org.appcluster1. Each worker also has memory_bytes,
    /// cpu_usec (the processor time of its main process) and counters, which are those of GetCounters(). An unknown value
    /// is null. schema_version is 1; fields may be added without a new number.
    #[arg(long)]
    pub(crate) json: bool,

    /// Show it again every second, until q or Ctrl-C
    ///
    /// On a terminal it takes the whole screen: the rollout, the states, then what the workers count. If there is no room
    /// for all workers, those that are not ready come first, and a line counts the rest.
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReleasesOptions {
    /// Print both tables as JSON
    ///
    /// The fields are those of ListReleases() and ListHistory() on the D-Bus interface org.appcluster1. schema_version is 1;
    /// fields may be added without a new number.
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the names alone, for shells that complete them
    #[arg(long, hide = true, conflicts_with = "json")]
    pub(crate) ids: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeployOptions {
    /// The program, or a directory with a program `worker` in it
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,

    /// The release's name; without it the orchestrator chooses one
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), value_hint = ValueHint::Other)]
    pub(crate) id: Option<String>,

    /// Let K workers take the release, extra ones included, then pause
    #[arg(long, value_name = "K", value_parser = value_parser!(u32).range(1..=500), value_hint = ValueHint::Other)]
    pub(crate) canary: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScaleOptions {
    /// A number from 1 to 500, or auto: one for each CPU
    #[arg(value_name = "N", value_hint = ValueHint::Other)]
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
