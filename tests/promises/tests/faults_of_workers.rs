//! Workers that hang, run out of memory, or change what they share. The other workers serve, and a rollout
//! succeeds.

use std::collections::BTreeMap;

use promises::{Cluster, DEADLINE, Entry, Mode, Suite, Wire, assert_only_cut, monotonic_usec, wait_for};

promises::in_every_suite!(oom_kill, worker_ignores_sigterm, one_that_shortens_the_shared_queue);

fn oom_kill(suite: Suite) {
    const LIMIT_MIB: usize = 48;
    let cluster = Cluster::installed(suite);
    let (victim, mut wires) = wires_to_one(&cluster, 2 * LIMIT_MIB);
    let before = cluster.pids();
    let limit = cluster.limit_memory(victim, LIMIT_MIB as u64);
    let mut load = cluster.load(Mode::WithGaps);

    // The worker keeps these bodies in memory until their last byte, which never arrives.
    let body = [
        &b"POST /echo HTTP/1.1\r\nHost: app-cluster\r\nContent-Length: 1048576\r\n\r\n"[..],
        &[0; 1_048_575],
    ]
    .concat();
    for wire in &mut wires {
        // If the worker is dead, this fails, and the body has done its part.
        let _ = wire.send_bytes(&body);
    }

    let after = cluster
        .until_worker(victim, "to be replaced", |worker| worker.is_ready() && worker.pid != before[&victim]);
    assert_eq!(after.restarts, 1, "{after:?}");
    let journal = cluster.journal(["-u", &format!("worker@{victim}")]);
    assert!(journal.contains("status=9/KILL"), "the kernel did not kill it:\n{journal}");
    drop(limit);
    load.until_more(500);
    let report = load.stop();
    assert_only_cut(&report, before[&victim], Mode::WithGaps.connections());
    let pids = cluster.until_whole();
    assert!(
        pids.iter().all(|(instance, pid)| (*pid == before[instance]) == (*instance != victim)),
        "{before:?}, then {pids:?}"
    );
    cluster.reloads_all();
    cluster.assert_socket_is_whole();
}

/// Opens this many connections to a single worker. Returns its instance.
#[track_caller]
fn wires_to_one(cluster: &Cluster, count: usize) -> (u32, Vec<Wire>) {
    let mut wires = BTreeMap::<u32, Vec<Wire>>::new();
    loop {
        let mut wire = Wire::open(cluster).expect("the socket is there");
        let instance = wire.instance().expect("the cluster answers");
        let own = wires.entry(instance).or_default();
        own.push(wire);
        if own.len() == count {
            return (instance, wires.remove(&instance).unwrap_or_default());
        }
    }
}

fn worker_ignores_sigterm(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let settings = "TimeoutStopSec=2s\nWatchdogSec=0\nEnvironment=APP_CLUSTER_FAULTS=1";
    cluster.edit("worker@.service", "Service", settings);
    cluster.reload();
    // The thread that would handle the signal hangs. The load starts now, so it has nothing in flight on this
    // worker.
    let mut wire = cluster.wires_to_all().swap_remove(0);
    let instance = wire.instance().expect("the worker answers");
    wire.send("/fault/hang").expect("the worker reads");
    until_all_is_read(&cluster);
    let mut load = cluster.load(Mode::WithGaps);
    let begin = monotonic_usec();

    cluster.reloads_all();

    let told = cluster.logged(&[&format!("worker@{instance}")], begin);
    let warns = |entry: &Entry| entry.is_warning() && entry.message().contains("timed out. Killing");
    assert!(told.iter().any(warns), "no warning says that worker@{instance} had to be killed: {told:#?}");
    load.until_more(500);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// Like a server that calls listen(2) on the descriptor that it gets.
const SHORTENS: &str = "#!/usr/bin/perl\n\
    BEGIN { $^F = 64 }\n\
    open(my $listener, '+<&=', 3) or die $!;\n\
    listen($listener, 5) or die $!;\n\
    exec '/usr/lib/app-cluster/release/worker';\n";

fn one_that_shortens_the_shared_queue(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let length = queue_length(&cluster);
    cluster.write_file("/srv/shortens", SHORTENS);
    cluster.app_cluster(["deploy", "/srv/shortens"]).assert_success();
    let until_restored = || {
        wait_for("the accept queue to have its full length", DEADLINE, || match queue_length(&cluster) {
            now if now == length => Ok(()),
            now => Err(now),
        });
    };
    until_restored();

    let signal = |signal: &str| {
        cluster.systemctl(["kill", "--signal", signal, "app-cluster"]).assert_success();
    };
    signal("STOP");
    cluster.systemctl(["restart", "worker@1"]).assert_success();
    assert_eq!(queue_length(&cluster), "5", "the worker has not made it shorter");
    signal("CONT");
    until_restored();
    cluster.until_whole();
    cluster.assert_socket_is_whole();
}

/// How many connections may wait in the accept queue of the shared socket.
#[track_caller]
fn queue_length(cluster: &Cluster) -> String {
    let listening = cluster.run(["ss", "-Hltn", "sport", "=", ":8080"]);
    listening.stdout().split_whitespace().nth(2).expect("systemd listens").to_owned()
}

/// Waits until the workers have read everything that was sent to them.
#[track_caller]
fn until_all_is_read(cluster: &Cluster) {
    wait_for("all to be read", DEADLINE, || {
        let sockets = cluster.run(["ss", "-Htn", "state", "established", "sport", "=", ":8080"]);
        let unread: Vec<_> =
            sockets.stdout().lines().filter(|line| !line.trim_start().starts_with("0 ")).collect();
        if unread.is_empty() { Ok(()) } else { Err(unread.join("\n")) }
    });
}
