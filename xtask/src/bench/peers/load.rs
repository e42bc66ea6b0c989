//! The strict client beside a peer.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use client::{Failure, Report};
use machine::{Machine, Running};

use super::peer::Peer;
use crate::demo;

/// How many connections are open at once, in every mode.
const CONNECTIONS: &str = "32";

/// Requests a second, when latencies are measured.
pub(super) const RATE: &str = "1000";

/// chrt(1) makes the scheduler prefer a process over all others without real-time priority.
const CHRT: &str = "chrt";

/// A request without a response within this many seconds counts as lost.
const TIMEOUT: &str = "2";

/// The ways in which clients behave while workers are replaced, and the client's arguments for each.
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

/// Requests that are sent before the first response is read.
pub(super) const PIPELINED: &str = "pipelined";

/// HTTP/2 without TLS, and with prior knowledge.
pub(super) const HTTP2: &str = "HTTP/2";

/// The client, the machine whose network it uses, and the peer that it connects to.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) machine: &'a Machine,
    pub(super) program: &'a Path,
    pub(super) address: &'static str,
}

impl<'a> Client<'a> {
    /// The same client for another peer.
    pub(super) fn of(self, peer: &Peer) -> Self {
        Self { address: peer.address, ..self }
    }

    /// Starts the load and waits for its first responses.
    pub(super) fn start(&self, arguments: &[&'a str]) -> Result<Running> {
        demo::start(self.machine, self.program, &self.with_defaults(arguments))
    }

    /// Runs until the client ends by itself.
    pub(super) fn run(&self, arguments: &[&'a str]) -> Result<Report> {
        let arguments = [&self.with_defaults(arguments)[..], &["--json"]].concat();
        report(self.machine.spawn_in_network(self.program, &arguments).wait())
    }

    /// Like [`start`](Self::start), at [`RATE`], to measure latencies.
    pub(super) fn start_at_rate(&self, arguments: &[&'a str]) -> Result<Running> {
        demo::start(self.machine, Path::new(CHRT), &self.timed(arguments)?)
    }

    /// Like [`run`](Self::run), at [`RATE`], to measure latencies.
    pub(super) fn run_at_rate(&self, seconds: &'a str) -> Result<Report> {
        let arguments = self.timed(&["--seconds", seconds, "--json"])?;
        report(self.machine.spawn_in_network(Path::new(CHRT), &arguments).wait())
    }

    /// A client that shares its CPUs with the server would also measure how long it waits for a CPU itself.
    /// It needs at most a tenth of a CPU, so it gets that at once.
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

/// Ends the load, and returns its report.
pub(super) fn stop(load: Running) -> Result<Report> {
    report(load.stop())
}

/// Processes that have begun to answer, as named in the progress of a load.
pub(super) fn newcomers(progress: &str) -> impl Iterator<Item = u32> {
    let lists = progress.lines().filter_map(|line| line.split_once(", new: ")).map(|(_, pids)| pids);
    lists.flat_map(str::split_whitespace).filter_map(|pid| pid.parse().ok())
}

fn report(output: machine::Output) -> Result<Report> {
    let report = demo::report(output)?;
    // This is no fault of the peer, so it must not count as one.
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
