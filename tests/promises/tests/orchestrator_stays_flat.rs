//! The orchestrator after many rollouts is as small as it was after a few.

use std::{fs, path::PathBuf};

use promises::{Cluster, DEADLINE, Suite, ci_or_full, wait_for};

promises::in_one_suite!(trixie: no_rollout_leaves_anything_behind);

/// Two workers, and nothing to wait for between them.
const SETTINGS: &str = "workers = 2\n[rollout]\nsettle = \"0\"\n";

/// How much more may be allocated at the end of a stretch of rollouts than before it. malloc keeps what is freed, and
/// whenever more happens at once than ever before, it takes some more: 76 KiB were seen between the 80th and the 240th
/// rollout, and nothing from the 300th to the 1,500th; beside other tests, 132 KiB once. A short stretch passes this bound
/// with 1.6 KiB for each rollout: the replies in which systemd tells all about one worker are ten times that. A long one
/// passes it with 131 bytes; what is still smaller is for the soak of `cargo xtask bench`, which sees one forgotten
/// allocation.
const LEFT_KIB: u64 = 128;
/// What every rollout leaves behind is there in each stretch, what malloc took for the busiest moment in one of them.
const STRETCHES: u32 = 3;

/// What the orchestrator holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// `RssAnon`: what it allocated. The pages of its files come and go as the kernel likes.
    anonymous_kib: u64,
    counted: Counted,
}

/// What a rollout has to give back to the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    descriptors: usize,
    threads: usize,
    /// What it wants to hear from the bus.
    match_rules: u64,
}

fn no_rollout_leaves_anything_behind(suite: Suite) {
    let rollouts = ci_or_full(80, 1000);
    let cluster = Cluster::installed(suite);
    cluster.configure(SETTINGS);
    cluster.reload();
    let pid = cluster.orchestrator_pid();

    // What is allocated once and kept is not left behind by a rollout.
    roll(&cluster, rollouts);
    let mut before = held(&cluster, pid);
    let is_flat = (0..STRETCHES).any(|_| {
        roll(&cluster, rollouts);
        let after = held(&cluster, pid);
        println!("{suite}: {before:?}, {after:?} after {rollouts} rollouts more");
        assert_eq!(cluster.orchestrator_pid(), pid, "the orchestrator is another process");
        assert_eq!(after.counted, before.counted, "something is left behind");
        let grown = after.anonymous_kib.saturating_sub(before.anonymous_kib);
        before = after;
        grown < LEFT_KIB
    });
    assert!(
        is_flat,
        "in each of {STRETCHES} times {rollouts} rollouts {LEFT_KIB} KiB or more were left behind"
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
    // The machine's own /proc: looked at from outside, it costs the machine nothing.
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
