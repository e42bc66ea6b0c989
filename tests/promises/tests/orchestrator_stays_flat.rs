//! The orchestrator is as small after many rollouts as after a few.

use std::{fs, path::PathBuf};

use promises::{Cluster, DEADLINE, Suite, ci_or_full, wait_for};

promises::in_one_suite!(trixie: no_rollout_leaves_anything_behind);

/// Two workers, and no settle between them.
const SETTINGS: &str = "workers = 2\n[rollout]\nsettle = \"0\"\n";

/// How much more memory may be allocated at the end of a stretch of rollouts than before it. malloc keeps
/// freed memory, and takes more whenever more happens at once than ever before. Between the 80th and the
/// 240th rollout this was 76 KiB, and from the 300th to the 1,500th nothing. Beside other tests it was once
/// 132 KiB. A short stretch exceeds this bound with 1.6 KiB per rollout: the replies with which systemd
/// describes one worker are ten times that. A long stretch exceeds it with 131 bytes. The soak of `cargo
/// xtask bench` finds smaller leaks, down to one allocation.
const LEFT_KIB: u64 = 128;
/// A leak of every rollout shows in each stretch. Memory for the busiest moment shows in only one.
const STRETCHES: u32 = 3;

/// The memory of the orchestrator, and what it has open.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// `RssAnon`: the allocated memory. The kernel loads and drops file pages as it likes.
    anonymous_kib: u64,
    counted: Counted,
}

/// What must be the same after each rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    descriptors: usize,
    threads: usize,
    /// The match rules that it has on the bus.
    match_rules: u64,
}

fn no_rollout_leaves_anything_behind(suite: Suite) {
    let rollouts = ci_or_full(80, 1000);
    let cluster = Cluster::installed(suite);
    cluster.configure(SETTINGS);
    cluster.reload();
    let pid = cluster.orchestrator_pid();

    // An allocation that happens once and is kept is no leak of a rollout.
    roll(&cluster, rollouts);
    let mut before = held(&cluster, pid);
    let is_flat = (0..STRETCHES).any(|_| {
        roll(&cluster, rollouts);
        let after = held(&cluster, pid);
        println!("{suite}: {before:?}, {after:?} after {rollouts} rollouts more");
        assert_eq!(cluster.orchestrator_pid(), pid, "the orchestrator was restarted");
        assert_eq!(after.counted, before.counted, "the rollouts left something behind");
        let grown = after.anonymous_kib.saturating_sub(before.anonymous_kib);
        before = after;
        grown < LEFT_KIB
    });
    assert!(
        is_flat,
        "each of {STRETCHES} stretches of {rollouts} rollouts left {LEFT_KIB} KiB or more behind"
    );
}

fn roll(cluster: &Cluster, rollouts: u32) {
    for _ in 0..rollouts {
        cluster.reload();
    }
}

#[track_caller]
fn held(cluster: &Cluster, pid: u32) -> Held {
    at_rest(cluster);
    // The machine's own /proc: reading it from outside costs the machine nothing.
    let proc = PathBuf::from(format!("/proc/{}/root/proc/{pid}", cluster.leader()));
    let status = fs::read_to_string(proc.join("status")).expect("the orchestrator runs");
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next());
    let count = |directory| fs::read_dir(proc.join(directory)).expect("the orchestrator runs").count();
    Held {
        anonymous_kib: anonymous.and_then(|kib| kib.parse().ok()).expect("the kernel tells RssAnon"),
        counted: Counted {
            descriptors: count("fd"),
            threads: count("task"),
            match_rules: match_rules(cluster),
        },
    }
}

/// How many match rules the bus has for the orchestrator.
#[track_caller]
fn match_rules(cluster: &Cluster) -> u64 {
    let call = "busctl --json=short call org.freedesktop.DBus /org/freedesktop/DBus \
        org.freedesktop.DBus.Debug.Stats GetConnectionStats s org.appcluster1";
    let output = cluster.run(call.split_whitespace());
    let stats: serde_json::Value = serde_json::from_str(output.stdout()).expect("busctl prints JSON");
    stats["data"][0]["MatchRules"]["data"].as_u64().expect("dbus-daemon counts match rules")
}

/// Waits until the orchestrator is idle. It reports the end of a rollout to systemd over a socket that exists
/// only for that. The socket is closed once the orchestrator does not run any more.
#[track_caller]
fn at_rest(cluster: &Cluster) {
    cluster.until_at_rest();
    let orchestrator = cluster.orchestrator();
    let mut before = (0, 0);
    wait_for("the orchestrator to be idle", DEADLINE, || {
        let now = orchestrator.switches_and_ticks();
        let is_at_rest = now == before;
        before = now;
        if is_at_rest { Ok(()) } else { Err(format!("woken {} times so far", now.0)) }
    });
}
