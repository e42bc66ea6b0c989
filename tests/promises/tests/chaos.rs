//! Operators give orders while the machine fails, at the same time or alone, in an order that depends on a
//! seed. After each round the faults are undone. Within a minute, all workers are ready again.
//!
//! `cargo xtask chaos --minutes 10 --seed 7` runs more of it. A failure prints the seed and the round.

mod action;
mod chance;
mod laws;
mod losses;
mod mending;
mod round;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use promises::{Cluster, Disk, Package, Suite, ci_or_full, number_or};

use self::{chance::Chance, mending::Stopped, round::Round};

promises::in_every_suite!(every_round_ends_with_a_whole_cluster);

/// A flapping worker is tried again within the minute in which the cluster must recover.
const SETTINGS: &str = "workers = 4\n[rollout]\nsettle = \"200ms\"\n[backoff]\nmax = \"10s\"\n";
/// A worker that never becomes ready fails soon, and a draining one soon closes its idle connections.
const QUICK: &str = "TimeoutStartSec=5s\nEnvironment=APP_CLUSTER_LINGER=1s";

fn every_round_ends_with_a_whole_cluster(suite: Suite) {
    let seed = number_or("APP_CLUSTER_CHAOS_SEED", 1);
    let seconds = number_or("APP_CLUSTER_CHAOS_SECONDS", ci_or_full(60, 600));
    let first = number_or("APP_CLUSTER_CHAOS_ROUND", 1);
    let cluster = cluster(suite);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut stopped: Stopped = BTreeSet::new();
    for number in (first..).take_while(|number| *number == first || Instant::now() < until) {
        let round = Round::draw(&mut Chance::of(&[seed, suite as u64, number]), number);
        println!("seed {seed} on {suite}, {round}");
        let (outcomes, kept) = round.run(&cluster, &mut stopped);
        let outcomes: String = outcomes.iter().map(ToString::to_string).collect();
        print!("ended have\n{outcomes}");
        if let Err(broken) = kept {
            let repeat = format!("cargo xtask chaos --suite {suite} --seed {seed}");
            let status = cluster.app_cluster(["status"]);
            let units = cluster.systemctl(["list-units", "--all", "--plain", "--no-legend", "worker@*"]);
            panic!(
                "{broken}\nseed {seed} on {suite}, {round}\n{outcomes}{status}\n{units}\n\
                 `{repeat}` does all rounds again, with `--round {number}` from this one on"
            );
        }
    }
}

/// A cluster whose disks can become full and read-only, with the programs to deploy and the packages to
/// install.
fn cluster(suite: Suite) -> Cluster {
    let cluster = Cluster::installed_on(suite, Package::Old, |cluster| {
        Disk::VAR.mount(cluster);
        Disk::RUN.mount(cluster);
    });
    for (package, path) in [(Package::Old, "/opt/old.deb"), (Package::New, "/opt/new.deb")] {
        cluster.copy_in(&package.path(), path);
    }
    cluster.write_program("/opt/bad", "#!/bin/sh\nexit 1\n");
    cluster.write_program("/opt/hanging", "#!/bin/sh\nexec sleep 100\n");
    cluster.configure(SETTINGS);
    cluster.edit("worker@.service", "Service", QUICK);
    cluster.reload();
    cluster
}
