//! What the promises share: an installed cluster, load on it, and assertions in its own terms.
//!
//! Each file in `tests/` is one promise; their names are the specification. Every promise holds on every
//! Debian release of [`Suite`], on a booted machine with the package installed by apt:
//!
//! ```no_run
//! # use promises::{Cluster, Mode, Suite};
//! # let suite = Suite::Bookworm;
//! let cluster = Cluster::installed(suite);
//! let load = cluster.load(Mode::KeepAlive);
//! cluster.reload();
//! load.loses_nothing();
//! ```
//!
//! The environment names what is tested. Without these variables every promise fails:
//!
//! | variable | what it names |
//! |---|---|
//! | `APP_CLUSTER_DEB_OLD`, `APP_CLUSTER_DEB_NEW` | two versions of the package |
//! | `APP_CLUSTER_CLIENT` | the strict client |
//! | `APP_CLUSTER_ATTACKER` | the attackers |
//! | `APP_CLUSTER_MORTAL_ORCHESTRATOR` | the orchestrator with the feature `fault-points` |
//! | `APP_CLUSTER_COUNTS` | `full` for the promised counts, `ci` for fewer rounds |
//!
//! `APP_CLUSTER_CHAOS_SEED`, `APP_CLUSTER_CHAOS_ROUND` and `APP_CLUSTER_CHAOS_SECONDS` set the seed, the
//! first round and the duration of the chaos test. They are optional.

mod artifacts;
mod attack;
mod background;
mod board;
mod cluster;
mod counts;
mod disk;
mod foreign;
mod journal;
mod load;
mod memory;
mod orchestrator;
mod process;
mod programs;
mod ready;
mod refusal;
mod release;
mod socket;
mod wire;
mod workers;

pub use attacker::Attack;
pub use client::{Failure, Report};
pub use machine::{Machine, Output, Suite, in_every_suite, in_one_suite, poll, wait_for};

pub use crate::{
    artifacts::Package,
    background::Background,
    cluster::Cluster,
    counts::{ci_or_full, number_or},
    disk::Disk,
    foreign::{Client, Told},
    journal::Entry,
    load::{Load, Mode, assert_only_cut},
    memory::MemoryLimit,
    process::{Process, monotonic_usec},
    programs::GOOD,
    ready::{Account, OpenAccount},
    release::Flaw,
    wire::{Answer, Wire},
    workers::Worker,
};

use std::time::Duration;

/// A limit for bugs: a step that takes seconds never takes this long.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Waits for this long, for promises that hold over a time.
pub fn pass(time: Duration) {
    let begun = std::time::Instant::now();
    wait_for("time to pass", time + DEADLINE, || {
        let passed = begun.elapsed();
        if passed >= time { Ok(()) } else { Err(format!("{passed:?} passed")) }
    });
}
