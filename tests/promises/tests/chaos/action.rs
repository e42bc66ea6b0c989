//! What operators do, and what fails. Each action is a shell command that runs in the machine.

use std::{
    fmt,
    time::{Duration, Instant},
};

use promises::{Cluster, Disk, GOOD, Output};

use super::chance::Chance;

/// The shell functions that the commands use.
const WORDS: &str = include_str!("action.sh");
/// The exit statuses of timeout(1) for a command that it had to kill.
const ENDED_BY_TIMEOUT: [i32; 2] = [124, 137];
/// No command takes this long, whatever it waits for.
const SECONDS: &str = "120";
/// How many lines of an action's output to show.
const LAST_LINES: usize = 8;

/// Something that happens to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// A command that costs no client anything. The round need not remember it.
    Line(String),
    /// An operator stops the whole cluster.
    StopCluster,
    /// An operator stops this worker.
    StopWorker(u32),
    /// This worker is killed with SIGKILL.
    KillWorker(u32),
    /// This worker is stopped with SIGSTOP for this many seconds.
    FreezeWorker(u32, u32),
    /// The file system of the releases becomes read-only.
    MakeReadOnly,
}

/// How an action ended.
#[derive(Debug)]
pub(super) struct Outcome {
    end: End,
    line: String,
    began: Duration,
    took: Duration,
}

#[derive(Debug)]
enum End {
    Told(Output),
    Done,
    Refused(String),
}

impl Action {
    /// An operator's order. `id` names the release if it is a deploy.
    pub(super) fn order(chance: &mut Chance, id: &str) -> Self {
        let number = chance.between(2, 6);
        let then = chance.pick(&["", "; app-cluster resume", "; app-cluster abort"]);
        let version = chance.pick(&["old", "new"]);
        let line = match chance.between(1, 10) {
            1 => "systemctl reload app-cluster".to_owned(),
            2 => "app-cluster reload".to_owned(),
            3 => "signal HUP app-cluster".to_owned(),
            4 => format!("deploy {GOOD} --id {id}"),
            5 => format!("deploy /opt/bad --id {id}"),
            6 => format!("deploy /opt/hanging --id {id}"),
            7 => format!("deploy {GOOD} --id {id} --canary 1{then}"),
            8 => format!("app-cluster scale {number}"),
            9 => "app-cluster rollback".to_owned(),
            _ => format!("install {version}"),
        };
        Self::Line(line)
    }

    /// A disturbance: an operator who changes the plan, or a fault.
    pub(super) fn disturbance(chance: &mut Chance) -> Self {
        let worker = chance.between(1, 5);
        let seconds = chance.between(1, 4);
        let line = |line: &str| Self::Line(line.to_owned());
        match chance.between(1, 24) {
            1 => line("app-cluster pause"),
            2 => line("app-cluster resume"),
            3 => line("app-cluster abort"),
            4 => Self::StopCluster,
            5 => line("systemctl start app-cluster"),
            6 => line("systemctl restart app-cluster"),
            7 => Self::StopWorker(worker),
            8 => Self::Line(format!("systemctl start worker@{worker}")),
            9 => Self::Line(format!("systemctl restart worker@{worker}")),
            10 => Self::KillWorker(worker),
            11 => Self::FreezeWorker(worker, seconds),
            12 => line("signal KILL app-cluster"),
            13 => Self::Line(format!("freeze app-cluster {seconds}")),
            14 => Self::Line(format!("freeze polkit {seconds}")),
            15 => line("systemctl daemon-reload"),
            16 => line("systemctl daemon-reexec"),
            17 => line("systemctl restart dbus"),
            18 => line("systemctl restart polkit"),
            19 => line("fill /var/lib/app-cluster"),
            20 => line("fill /run/app-cluster"),
            21 => Self::MakeReadOnly,
            22 => line("rm /var/lib/app-cluster/current"),
            23 => line("rm /run/app-cluster/ledger"),
            _ => line("rm /run/app-cluster/boot"),
        }
    }

    /// Runs the action in the machine, and waits for its end.
    pub(super) fn carry_out(&self, cluster: &Cluster, round_began: Instant) -> Outcome {
        let (began, line) = (round_began.elapsed(), self.to_string());
        let end = match self {
            Self::MakeReadOnly => {
                Disk::VAR.try_to_make_read_only(cluster).map_or_else(End::Refused, |()| End::Done)
            }
            _ => End::Told(in_time(cluster, &format!("{WORDS}{line}"))),
        };
        Outcome { end, line, began, took: round_began.elapsed() - began }
    }
}

/// Runs shell commands in the machine, and kills them if they take too long.
pub(super) fn in_time(cluster: &Cluster, script: &str) -> Output {
    cluster.run(["timeout", "--kill-after=10", SECONDS, "sh", "-c", script])
}

impl Outcome {
    /// The pid in an action's output, if it printed one.
    pub(super) fn process(&self) -> Option<u32> {
        let End::Told(output) = &self.end else { return None };
        output.any_stdout().lines().next()?.parse().ok()
    }

    /// Whether it ended by itself.
    pub(super) fn has_ended(&self) -> Result<(), String> {
        let End::Told(output) = &self.end else { return Ok(()) };
        let is_late = output.status().code().is_none_or(|status| ENDED_BY_TIMEOUT.contains(&status));
        if is_late { Err(format!("`{}` did not end within {SECONDS} s", self.line)) } else { Ok(()) }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::StopCluster => f.write_str("systemctl stop app-cluster"),
            Self::StopWorker(number) => write!(f, "systemctl stop worker@{number}"),
            Self::KillWorker(number) => write!(f, "signal KILL worker@{number}"),
            Self::FreezeWorker(number, seconds) => write!(f, "freeze worker@{number} {seconds}"),
            Self::MakeReadOnly => f.write_str("make /var/lib/app-cluster read-only"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { end, line, began, took } = self;
        writeln!(f, "  after {began:.1?} `{line}`, which took {took:.1?}:")?;
        let output = match end {
            End::Done => return Ok(()),
            End::Refused(why) => return writeln!(f, "    {why}"),
            End::Told(output) => output,
        };
        writeln!(f, "    {}", output.status())?;
        let text = output.text();
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        last.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}
