//! The orchestrator after many rollouts is as small as it was after a few.

use std::{fs, path::PathBuf};

use promises::{Cluster, DEADLINE, Suite, ci_or_full, wait_for};

promises::in_every_suite!(no_rollout_leaves_anything_behind);

/// Two workers, and nothing to wait for between them.
const SETTINGS: &str = "workers = 2\n[rollout]\nsettle = \"0\"\n";

/// How much more may be allocated after the last rollout than after the warm-up: malloc needs a few pages more or less
/// from one look to the next (8 KiB were seen). The 200 rollouts of the short round pass this with 164 bytes each, and
/// whoever keeps but the record of each rollout keeps twice that. In the long round one forgotten allocation of any size
/// is enough: malloc takes at least 32 bytes for it, 41 KiB in 1,334 rollouts.
const LEFT_KIB: u64 = 32;

/// What the orchestrator holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// `RssAnon`: what it allocated. The pages of its files come and go as the kernel likes.
    anonymous_kib: u64,
    descriptors: usize,
}

fn no_rollout_leaves_anything_behind(suite: Suite) {
    let rollouts = ci_or_full(300, 2000);
    let cluster = Cluster::installed(suite);
    cluster.configure(SETTINGS);
    cluster.reload();
    let pid = cluster.orchestrator_pid();

    // What is allocated once and kept is not left behind by a rollout.
    let warm_up = rollouts / 3;
    roll(&cluster, warm_up);
    let before = held(&cluster, pid);
    roll(&cluster, rollouts - warm_up);
    let after = held(&cluster, pid);

    println!("{suite}: {before:?} after {warm_up} rollouts, {after:?} after {rollouts}");
    assert_eq!(cluster.orchestrator_pid(), pid, "the orchestrator is another process");
    assert_eq!(after.descriptors, before.descriptors, "descriptors are left behind");
    let grown = after.anonymous_kib.saturating_sub(before.anonymous_kib);
    assert!(grown < LEFT_KIB, "{grown} KiB were left behind in {} rollouts", rollouts - warm_up);
}

fn roll(cluster: &Cluster, rollouts: u32) {
    for _ in 0..rollouts {
        cluster.reload();
    }
}

#[track_caller]
fn held(cluster: &Cluster, pid: u32) -> Held {
    at_rest(cluster);
    // The machine's own /proc: looked at from outside, it costs the machine nothing.
    let proc = PathBuf::from(format!("/proc/{}/root/proc/{pid}", cluster.leader()));
    let status = fs::read_to_string(proc.join("status")).expect("the orchestrator runs");
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next());
    let descriptors = fs::read_dir(proc.join("fd")).expect("the orchestrator runs");
    Held {
        anonymous_kib: anonymous.and_then(|kib| kib.parse().ok()).expect("the kernel tells RssAnon"),
        descriptors: descriptors.count(),
    }
}

/// The end of a rollout is told to systemd over a socket that exists just for that; it is closed when the
/// orchestrator does not run any more.
#[track_caller]
fn at_rest(cluster: &Cluster) {
    cluster.until_at_rest();
    let orchestrator = cluster.orchestrator();
    let mut before = (0, 0);
    wait_for("the orchestrator to come to rest", DEADLINE, || {
        let now = orchestrator.switches_and_ticks();
        let is_at_rest = now == before;
        before = now;
        if is_at_rest { Ok(()) } else { Err(format!("woken {} times so far", now.0)) }
    });
}
