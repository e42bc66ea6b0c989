//! How the connections are spread over the workers.

use std::fmt;

use anyhow::{Result, ensure};

use super::{load::Client, serving::WORKERS};

/// 64 connections at once. All stay open until the last one is answered.
pub(super) const BURST: &[&str] = &["--hold", "--connections", "64"];

/// 400 connections, one after another, with a pause between.
pub(super) const SPACED: &[&str] =
    &["--one-request", "--connections", "1", "--gap", "2", "--requests", "400"];

/// How many connections each worker got, the highest number first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spread([u64; WORKERS]);

impl Spread {
    /// The spread of these connections.
    pub(super) fn of(client: &Client<'_>, arguments: &[&str]) -> Result<Self> {
        let report = client.run(arguments)?;
        ensure!(report.answers.len() <= WORKERS, "more processes answered than there are:\n{report}");
        let mut counts = [0; WORKERS];
        for (count, answers) in counts.iter_mut().zip(&report.answers) {
            *count = answers.count;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self(counts))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|count| count.to_string()).join(" / "))
    }
}
