//! The strict client beside a peer.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use client::{Failure, Report};
use machine::{Machine, Running};

use super::peer::Peer;
use crate::demo;

/// How many connections are open at once, whatever they do.
const CONNECTIONS: &str = "32";

/// Requests a second, where their times are measured.
pub(super) const RATE: &str = "1000";

/// Has the scheduler take a process before all that have no real-time priority (chrt(1)).
const CHRT: &str = "chrt";

/// What is not answered in that time counts as lost.
const TIMEOUT: &str = "2";

/// The ways in which clients behave while workers are replaced, and the arguments for that.
pub(super) const MODES: [(&str, &[&str]); 8] = [
    ("no pause", &[]),
    ("pause 0–20 ms", &["--gap", "0-20"]),
    ("pause 0–200 ms", &["--gap", "0-200"]),
    ("one request each", &["--one-request"]),
    (PIPELINED, &["--speak", "pipeline"]),
    ("bodies", &["--post", "--gap", "0-20"]),
    ("slow uploads", &["--post-slowly"]),
    (HTTP2, &["--speak", "http2", "--connections", "4"]),
];

/// Requests that are sent before the first answer is read.
pub(super) const PIPELINED: &str = "pipelined";

/// HTTP/2 without TLS, and with prior knowledge.
pub(super) const HTTP2: &str = "HTTP/2";

/// The client, the machine whose network it is in, and whom it asks there.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) machine: &'a Machine,
    pub(super) program: &'a Path,
    pub(super) address: &'static str,
}

impl<'a> Client<'a> {
    /// One that asks another peer.
    pub(super) fn of(self, peer: &Peer) -> Self {
        Self { address: peer.address, ..self }
    }

    /// Starts load and waits until it flows.
    pub(super) fn start(&self, arguments: &[&'a str]) -> Result<Running> {
        demo::start(self.machine, self.program, &self.with_defaults(arguments))
    }

    /// Runs to the client's own end.
    pub(super) fn run(&self, arguments: &[&'a str]) -> Result<Report> {
        let arguments = [&self.with_defaults(arguments)[..], &["--json"]].concat();
        report(self.machine.spawn_in_network(self.program, &arguments).wait())
    }

    /// The same at [`RATE`], to time answers.
    pub(super) fn start_at_rate(&self, arguments: &[&'a str]) -> Result<Running> {
        demo::start(self.machine, Path::new(CHRT), &self.timed(arguments)?)
    }

    /// The same at [`RATE`], to time answers.
    pub(super) fn run_at_rate(&self, seconds: &'a str) -> Result<Report> {
        let arguments = self.timed(&["--seconds", seconds, "--json"])?;
        report(self.machine.spawn_in_network(Path::new(CHRT), &arguments).wait())
    }

    /// A client that shares its CPUs with those it asks would time its own wait for one, too. It has no use for more than
    /// a tenth of one, so it can be given that at once.
    fn timed(&self, arguments: &[&'a str]) -> Result<Vec<&'a str>> {
        let program = self.program.to_str().context("the client's path is no text")?;
        let arguments = self.with_defaults(&[&["--rate", RATE], arguments].concat());
        Ok([&["--fifo", "1", program], &arguments[..]].concat())
    }

    fn with_defaults(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut all = arguments.to_vec();
        for (name, value) in
            [("--addr", self.address), ("--connections", CONNECTIONS), ("--timeout", TIMEOUT)]
        {
            if !all.contains(&name) {
                all.extend([name, value]);
            }
        }
        all
    }
}

/// Ends load, and tells what became of it.
pub(super) fn stop(load: Running) -> Result<Report> {
    report(load.stop())
}

/// Processes that have begun to answer, as the progress of a load names them.
pub(super) fn newcomers(progress: &str) -> impl Iterator<Item = u32> {
    let lists = progress.lines().filter_map(|line| line.split_once(", new: ")).map(|(_, pids)| pids);
    lists.flat_map(str::split_whitespace).filter_map(|pid| pid.parse().ok())
}

fn report(output: machine::Output) -> Result<Report> {
    let report = demo::report(output)?;
    // Not the peer's fault, so it must not be counted as that.
    ensure!(report.count(Failure::ConnectOther) == 0, "the client could not open connections:\n{report}");
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_found_in_any_line() {
        let progress = "0 ok, 0 lost\n12 ok, 0 lost, new: 41 42\n20 ok, 0 lost\n31 ok, 1 lost, new: 50\n";
        assert_eq!(newcomers(progress).collect::<Vec<_>>(), [41, 42, 50]);
    }
}
