//! What systemd cannot tell a new orchestrator: when the link was flipped, and who was stopped on purpose.
//!
//! A small text file in /run, replaced as a whole. Lost or damaged it costs knowledge, not service: every
//! worker is then taken to run the current release, and a worker that was stopped on purpose is started.
//!
//! ```text
//! release 0 1.2.0
//! release 81234567 1.3.0
//! held 3
//! ```
//! `release <usec> <id>`: from this CLOCK_MONOTONIC time on, workers that start execute that release.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use rollout::Instance;

use crate::disk;
use crate::releases::ReleaseId;

/// The file and what is in it.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    flips: Vec<(u64, ReleaseId)>,
    held: BTreeSet<Instance>,
}

impl Ledger {
    /// Reads the file; what cannot be read is left out.
    pub(crate) fn open(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut ledger = Self { path, flips: Vec::new(), held: BTreeSet::new() };
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["release", usec, id] => {
                    ledger.flips.extend(usec.parse().ok().zip(ReleaseId::new(id)));
                }
                ["held", number] => ledger.held.extend(number.parse().ok().and_then(Instance::new)),
                _ => tracing::warn!("{}: unknown line `{line}`, ignoring", ledger.path.display()),
            }
        }
        ledger
    }

    /// The release of a worker whose process started at this time.
    pub(crate) fn release_at(&self, started_usec: u64) -> Option<&ReleaseId> {
        let latest = self.flips.iter().rev().find(|(usec, _)| *usec <= started_usec);
        latest.or(self.flips.first()).map(|(_, id)| id)
    }

    /// The release that the last entry names.
    pub(crate) fn last_release(&self) -> Option<&ReleaseId> {
        self.flips.last().map(|(_, id)| id)
    }

    /// Notes that workers execute this release from now on. What is older than the oldest process, which began at
    /// `oldest_usec`, is forgotten.
    pub(crate) fn record_release(
        &mut self,
        now_usec: u64,
        id: ReleaseId,
        oldest_usec: u64,
    ) -> io::Result<()> {
        if self.last_release() == Some(&id) {
            return self.save();
        }
        let needed = self.flips.iter().rposition(|(usec, _)| *usec <= oldest_usec).unwrap_or(0);
        self.flips.drain(..needed);
        self.flips.push((now_usec, id));
        self.save()
    }

    /// Whether somebody stopped this worker on purpose.
    pub(crate) fn is_held(&self, instance: Instance) -> bool {
        self.held.contains(&instance)
    }

    /// Notes that somebody stopped this worker on purpose, or that it runs again.
    pub(crate) fn set_held(&mut self, instance: Instance, is_held: bool) -> io::Result<()> {
        let changed = if is_held { self.held.insert(instance) } else { self.held.remove(&instance) };
        if changed { self.save() } else { Ok(()) }
    }

    /// Forgets who was stopped on purpose.
    pub(crate) fn release_held(&mut self) -> io::Result<()> {
        self.held.clear();
        self.save()
    }

    fn save(&self) -> io::Result<()> {
        let mut text = String::new();
        for (usec, id) in &self.flips {
            let _ = writeln!(text, "release {usec} {id}");
        }
        for instance in &self.held {
            let _ = writeln!(text, "held {}", instance.number());
        }
        disk::write_atomically(&self.path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ReleaseId {
        ReleaseId::new(name).unwrap()
    }

    #[test]
    fn survives_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let three = Instance::new(3).unwrap();
        let mut ledger = Ledger::open(path.clone());
        ledger.record_release(100, id("1.0.0"), 0).unwrap();
        ledger.record_release(200, id("1.1.0"), 150).unwrap();
        ledger.set_held(three, true).unwrap();

        let ledger = Ledger::open(path);
        assert_eq!(ledger.release_at(99), Some(&id("1.0.0")), "older than all we know");
        assert_eq!(ledger.release_at(199), Some(&id("1.0.0")));
        assert_eq!(ledger.release_at(200), Some(&id("1.1.0")));
        assert!(ledger.is_held(three));
    }

    #[test]
    fn what_no_process_is_old_enough_for_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path().join("ledger"));
        for flip in 3..100 {
            ledger.record_release(flip * 100, id(&format!("1.{flip}")), flip * 100 - 250).unwrap();
        }
        assert!(ledger.flips.len() <= 4, "{:?}", ledger.flips);
        assert_eq!(ledger.release_at(9_650), Some(&id("1.96")));
    }

    #[test]
    fn damage_costs_knowledge_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        fs::write(&path, "release x 1.0.0\nheld 0\nheld 2\n\0\0garbage").unwrap();
        let ledger = Ledger::open(path);
        assert_eq!(ledger.release_at(5), None);
        assert!(ledger.is_held(Instance::new(2).unwrap()));
    }

    #[test]
    fn a_full_disk_is_told() {
        let mut ledger = Ledger::open(PathBuf::from("/proc/no/such/ledger"));
        assert!(ledger.record_release(1, id("1.0.0"), 0).is_err());
    }
}
