//! What systemd cannot tell the next orchestrator: which release each instance executes since when, and who
//! stopped it.
//!
//! The ledger is kept in /run, because after a boot none of it is true. If it is lost or damaged, no service
//! is lost. A worker is then taken to run what its link points to, and one that an operator stopped may be
//! started.

use std::collections::{BTreeMap, BTreeSet};

use names::Instance;

use crate::moment::{Moment, usec};
use crate::release::ReleaseId;

/// Who stopped a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoppedBy {
    /// An operator. The worker stays stopped until an operator starts it.
    Operator,
    /// The orchestrator, for a while. It starts the worker again.
    Us,
}

/// Since when processes of an instance execute a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointed {
    /// CLOCK_MONOTONIC in microseconds.
    pub since_usec: u64,
    /// The release.
    pub release: ReleaseId,
    /// Whether the link was seen to point to it. Until then a process that starts may execute what the link
    /// pointed to before.
    pub is_sure: bool,
}

/// The record that the orchestrator keeps for its successor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// How many workers were wanted. None if that is not known.
    pub wanted: Option<u32>,
    /// The releases that each instance was pointed to, the latest last. They go back as far as its process
    /// may.
    pub pointed: BTreeMap<Instance, Vec<Pointed>>,
    /// Who stopped each of the stopped workers.
    pub stopped: BTreeMap<Instance, StoppedBy>,
    /// The release that is watched after its rollout.
    pub watched: Option<Watched>,
}

/// A release that is watched after its rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// CLOCK_MONOTONIC in microseconds.
    pub until_usec: u64,
    /// The release to go back to.
    pub from: ReleaseId,
    /// The release that is watched.
    pub to: ReleaseId,
}

/// How many entries are kept for an instance. Beyond that, entries go that concern neither its process nor
/// one that has just started.
const MOST_POINTED: usize = 16;

impl Ledger {
    /// The release that a process of this instance executes if it starts now.
    pub fn points_to(&self, instance: Instance) -> Option<&ReleaseId> {
        self.pointed.get(&instance)?.last().map(|pointed| &pointed.release)
    }

    /// The release of the process of this instance that started at this time, or the one it was meant to
    /// have.
    pub fn release_at(&self, instance: Instance, started_usec: u64) -> Option<&ReleaseId> {
        self.lines_of(instance, started_usec).last().map(|pointed| &pointed.release)
    }

    /// Whether the process that started at this time may execute one of several releases.
    pub fn is_unsure_at(&self, instance: Instance, started_usec: u64) -> bool {
        self.lines_of(instance, started_usec).last().is_some_and(|pointed| !pointed.is_sure)
    }

    /// The releases that the process that started at this time may execute.
    pub fn candidates_at(&self, instance: Instance, started_usec: u64) -> impl Iterator<Item = &ReleaseId> {
        self.lines_of(instance, started_usec).iter().map(|pointed| &pointed.release)
    }

    /// The entries that say what a process that started at this time executes. They are the last entry before
    /// that time, and those before it back to one that is sure.
    fn lines_of(&self, instance: Instance, started_usec: u64) -> &[Pointed] {
        let pointed = self.pointed.get(&instance).map_or(&[][..], Vec::as_slice);
        let range = needed(pointed, started_usec);
        &pointed[range]
    }

    /// Notes that this instance is to be pointed to this release. Its present process started at
    /// `started_usec`. Returns whether this changed the ledger.
    pub fn point(&mut self, instance: Instance, now: Moment, started_usec: u64, release: &ReleaseId) -> bool {
        if self.points_to(instance) == Some(release) {
            return false;
        }
        let pointed = self.pointed.entry(instance).or_default();
        // If the instance had no release before, its process can execute no other.
        let is_sure = pointed.is_empty();
        pointed.push(Pointed { since_usec: usec(now), release: release.clone(), is_sure });
        let needed = needed(pointed, started_usec);
        pointed.drain(..needed.start);
        let kept = needed.len().min(MOST_POINTED / 2);
        pointed.drain(kept..kept + pointed.len().saturating_sub(MOST_POINTED));
        true
    }

    /// Notes what an instance's link says now. The last attempt to point it elsewhere may have failed.
    /// Returns whether this changed the ledger.
    pub fn is_linked(&mut self, instance: Instance, now: Moment, release: &ReleaseId) -> bool {
        let pointed = self.pointed.entry(instance).or_default();
        let count = pointed.len();
        let known = last_sure(pointed);
        if let Some(at) = pointed[known..].iter().rposition(|pointed| pointed.release == *release) {
            pointed.truncate(known + at + 1);
        }
        let is_known = pointed.last().is_some_and(|last| last.release == *release && last.is_sure);
        if !is_known {
            pointed.push(Pointed { since_usec: usec(now), release: release.clone(), is_sure: true });
        }
        !is_known || pointed.len() != count
    }

    /// Notes that the last attempt to set an instance's link has failed, and that there is no link. Returns
    /// whether this changed the ledger.
    pub fn is_not_linked(&mut self, instance: Instance) -> bool {
        let pointed = self.pointed.entry(instance).or_default();
        let count = pointed.len();
        pointed.truncate(last_sure(pointed) + 1);
        pointed.len() != count
    }

    /// Notes a link that a predecessor has left. If its ledger did not end with that release, or with an
    /// attempt to bring it, processes may execute it since `earliest_usec`. If its ledger names none, they are
    /// taken to execute it.
    pub fn is_found_linked(
        &mut self,
        instance: Instance,
        now: Moment,
        earliest_usec: u64,
        release: &ReleaseId,
    ) {
        let pointed = self.pointed.entry(instance).or_default();
        let is_told = pointed[last_sure(pointed)..].iter().any(|pointed| pointed.release == *release);
        if !is_told {
            let is_sure = pointed.is_empty();
            let since_usec = if is_sure { 0 } else { earliest_usec };
            pointed.push(Pointed { since_usec, release: release.clone(), is_sure });
        }
        self.is_linked(instance, now, release);
    }

    /// Whether an operator stopped this worker.
    pub fn is_held(&self, instance: Instance) -> bool {
        self.stopped.get(&instance) == Some(&StoppedBy::Operator)
    }

    /// Forgets the instances that are not among these.
    pub fn retain(&mut self, instances: &BTreeSet<Instance>) {
        self.pointed.retain(|instance, _| instances.contains(instance));
        self.stopped.retain(|instance, _| instances.contains(instance));
    }
}

/// The index of the last entry that is sure. The entries after it are attempts that may have failed.
fn last_sure(pointed: &[Pointed]) -> usize {
    pointed.iter().rposition(|pointed| pointed.is_sure).unwrap_or(0)
}

/// The range of the entries that concern a process that started at this time.
fn needed(pointed: &[Pointed], started_usec: u64) -> std::ops::Range<usize> {
    let last = pointed.iter().rposition(|pointed| pointed.since_usec <= started_usec).unwrap_or(0);
    let until = pointed.len().min(last + 1);
    let first = pointed[..until].iter().rposition(|pointed| pointed.is_sure).unwrap_or(0);
    first..until
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_process_is_known_however_often_its_instance_was_pointed_elsewhere() {
        let (mut ledger, one) = (Ledger::default(), Instance::first(1).next().expect("there is a first"));
        let id = |name: &str| ReleaseId::new(name).expect("it is a name");
        let at = Duration::from_secs;
        ledger.is_linked(one, at(1), &id("first"));
        for round in 1..40 {
            for (second, name) in [(0, format!("tried-{round}")), (5, "old".to_owned())] {
                ledger.point(one, at(10 * round + second), 2_000_000, &id(&name));
                ledger.is_linked(one, at(10 * round + second + 1), &id(&name));
            }
        }
        assert_eq!(ledger.release_at(one, 2_000_000), Some(&id("first")));
        assert_eq!(ledger.points_to(one), Some(&id("old")));
        assert_eq!(ledger.release_at(one, 391_500_000), Some(&id("tried-39")));
        assert!(ledger.pointed[&one].len() <= MOST_POINTED + 1);
    }

    #[test]
    fn a_release_to_which_no_link_could_be_set_is_not_the_one_to_start() {
        let (mut ledger, one) = (Ledger::default(), Instance::first(1).next().expect("there is a first"));
        let id = |name: &str| ReleaseId::new(name).expect("it is a name");
        let at = Duration::from_secs;
        ledger.point(one, at(1), u64::MAX, &id("old"));
        assert!(!ledger.is_not_linked(one), "it is to execute the old one");
        ledger.point(one, at(2), u64::MAX, &id("new"));
        assert!(ledger.is_not_linked(one));
        assert_eq!(ledger.points_to(one), Some(&id("old")));
    }

    #[test]
    fn a_link_that_the_ledger_does_not_explain_says_nothing_of_the_process_before() {
        let (mut ledger, one) = (Ledger::default(), Instance::first(1).next().expect("there is a first"));
        let id = |name: &str| ReleaseId::new(name).expect("it is a name");
        let at = Duration::from_secs;
        ledger.is_linked(one, at(1), &id("new"));
        ledger.point(one, at(5), 2_000_000, &id("old"));
        ledger.is_linked(one, at(6), &id("old"));
        // The lines about the way forward could not be written. A process has started at 10 s.
        ledger.is_found_linked(one, at(20), 4_000_000, &id("new"));
        assert!(ledger.is_unsure_at(one, 10_000_000), "{:?}", ledger.pointed);
        assert_eq!((ledger.points_to(one), ledger.is_unsure_at(one, 21_000_000)), (Some(&id("new")), false));
    }
}
