//! The ledger in a small text file in /run, which is replaced as a whole.
//!
//! ```text
//! version 2
//! wanted 4
//! watch 93000000 1.2.0 1.3.0
//! point 1 81234567 1.3.0
//! pointing 1 92345678 1.2.0
//! stopped 3 operator
//! ```
//!
//! - `watch <until> <from> <to>`: the orchestrator watches release `to` until this time, and can go back to
//!   `from`.
//! - `point <instance> <since> <release>`: processes that start from this time on execute this release.
//! - `pointing <instance> <since> <release>`: such processes may execute this release, or that of the line before.
//! - `stopped <instance> operator|us`: an operator stopped the worker, or the orchestrator did.
//!
//! Times are CLOCK_MONOTONIC in microseconds. A file without the first line is of version 1. There,
//! `release <since> <release>` applied to all instances. `held <instance>` meant that an operator stopped the
//! worker.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use cluster::ledger::{Ledger, Pointed, StoppedBy, Watched};
use cluster::release::ReleaseId;
use names::Instance;

use crate::disk;

/// The greatest number of instances under an orchestrator that wrote version 1.
const INSTANCES_BEFORE: u32 = 64;

/// Reads the file. A line that cannot be parsed is skipped and logged. The lines of version 1 about all
/// instances apply to those that have a link, and to all that may run.
pub(super) fn read(path: &Path, linked: impl Iterator<Item = Instance>) -> Ledger {
    let text = fs::read_to_string(path).unwrap_or_default();
    let (mut ledger, mut of_all) = (Ledger::default(), Vec::new());
    for line in text.lines() {
        if take(line, &mut ledger, &mut of_all).is_none() {
            tracing::warn!("{}: unknown line `{line}`, ignoring", path.display());
        }
    }
    if !of_all.is_empty() {
        // Version 1 never removed a line. No process that still runs is older than the last two.
        of_all.drain(..of_all.len().saturating_sub(2));
        for instance in linked.chain(Instance::first(INSTANCES_BEFORE)) {
            ledger.pointed.entry(instance).or_insert_with(|| of_all.clone());
        }
    }
    ledger
}

fn take(line: &str, ledger: &mut Ledger, of_all: &mut Vec<Pointed>) -> Option<()> {
    let instance = |number: &str| Instance::new(number.parse().ok()?);
    let pointed = |usec: &str, release: &str| {
        Some(Pointed { since_usec: usec.parse().ok()?, release: ReleaseId::new(release)?, is_sure: true })
    };
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["version", "2"] => {}
        ["wanted", count] => ledger.wanted = Some(count.parse().ok()?),
        ["watch", until, from, to] => {
            ledger.watched = Some(Watched {
                until_usec: until.parse().ok()?,
                from: ReleaseId::new(from)?,
                to: ReleaseId::new(to)?,
            });
        }
        ["point", number, usec, release] => {
            ledger.pointed.entry(instance(number)?).or_default().push(pointed(usec, release)?);
        }
        ["pointing", number, usec, release] => {
            let unsure = Pointed { is_sure: false, ..pointed(usec, release)? };
            ledger.pointed.entry(instance(number)?).or_default().push(unsure);
        }
        ["stopped", number, "operator"] | ["held", number] => {
            ledger.stopped.insert(instance(number)?, StoppedBy::Operator);
        }
        ["stopped", number, "us"] => {
            ledger.stopped.insert(instance(number)?, StoppedBy::Us);
        }
        ["release", usec, release] => of_all.push(pointed(usec, release)?),
        _ => return None,
    }
    Some(())
}

/// Replaces the file.
pub(super) fn write(path: &Path, ledger: &Ledger) -> io::Result<()> {
    disk::write_atomically(path, text(ledger).as_bytes())
}

fn text(ledger: &Ledger) -> String {
    let mut text = "version 2\n".to_owned();
    if let Some(wanted) = ledger.wanted {
        let _ = writeln!(text, "wanted {wanted}");
    }
    if let Some(Watched { until_usec, from, to }) = &ledger.watched {
        let _ = writeln!(text, "watch {until_usec} {from} {to}");
    }
    for (instance, pointed) in &ledger.pointed {
        for Pointed { since_usec, release, is_sure } in pointed {
            let verb = if *is_sure { "point" } else { "pointing" };
            let _ = writeln!(text, "{verb} {} {since_usec} {release}", instance.number());
        }
    }
    for (instance, by) in &ledger.stopped {
        let by = match by {
            StoppedBy::Operator => "operator",
            StoppedBy::Us => "us",
        };
        let _ = writeln!(text, "stopped {} {by}", instance.number());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ReleaseId {
        ReleaseId::new(name).unwrap()
    }

    fn instance(number: u32) -> Instance {
        Instance::new(number).unwrap()
    }

    fn pointed(since_usec: u64, name: &str) -> Pointed {
        Pointed { since_usec, release: id(name), is_sure: true }
    }

    fn read_text(text: &str) -> Ledger {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        fs::write(&path, text).unwrap();
        read(&path, [instance(70)].into_iter())
    }

    #[test]
    fn survives_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let ledger = Ledger {
            wanted: Some(4),
            pointed: [
                (instance(1), vec![pointed(100, "1.0.0"), pointed(200, "1.1.0"), pointed(300, "1.0.0")]),
                (instance(2), vec![Pointed { is_sure: false, ..pointed(100, "1.0.0") }]),
            ]
            .into(),
            stopped: [(instance(2), StoppedBy::Us), (instance(3), StoppedBy::Operator)].into(),
            watched: Some(Watched { until_usec: 9, from: id("1.0.0"), to: id("1.1.0") }),
        };
        write(&path, &ledger).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("version 2\nwanted 4\nwatch 9 1.0.0 1.1.0\npoint 1 100 1.0.0\n"), "{text}");
        assert_eq!(read(&path, std::iter::empty()), ledger);
        write(&path, &Ledger::default()).unwrap();
        assert_eq!(read(&path, std::iter::empty()), Ledger::default());
    }

    #[test]
    fn what_an_older_version_wrote_is_true_of_all_instances() {
        let ledger = read_text("release 100 1.0.0\nrelease 200 1.1.0\nrelease 300 1.2.0\nheld 3\n");
        let last_two = vec![pointed(200, "1.1.0"), pointed(300, "1.2.0")];
        assert!([1, 64, 70].map(instance).iter().all(|known| ledger.pointed[known] == last_two));
        assert_eq!(ledger.stopped, [(instance(3), StoppedBy::Operator)].into());
        assert_eq!(ledger.wanted, None);
    }

    #[test]
    fn damage_costs_knowledge_only() {
        let ledger =
            read_text("version 2\npoint x 1 1.0.0\nstopped 0 us\nstopped 2 operator\npoint 1 5 ..\n\0\0");
        assert_eq!(ledger.stopped, [(instance(2), StoppedBy::Operator)].into());
        assert_eq!(ledger.release_at(instance(1), 5), None);
        assert_eq!(read(Path::new("/proc/no/such/ledger"), std::iter::empty()), Ledger::default());
    }

    #[test]
    fn a_full_disk_is_told() {
        assert!(write(Path::new("/proc/no/such/ledger"), &Ledger::default()).is_err());
    }
}
