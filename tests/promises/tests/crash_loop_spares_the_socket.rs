//! One worker is in a crash loop, then all of them, then none. The socket stays, and no client is refused.

use std::time::Duration;

use promises::{Cluster, DEADLINE, Mode, Process, Suite, ci_or_full, pass, wait_for};

promises::in_every_suite!(
    healthy_workers_serve_while_one_crashes,
    connections_wait_while_all_crash_and_are_served_afterwards,
    quick_restarts_and_reloads_spare_it_too,
);

const CRASH: &str = "Environment=APP_CLUSTER_FAULT_START=fail";

fn healthy_workers_serve_while_one_crashes(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let others = cluster.pids().split_off(&2);
    cluster.edit("worker@1.service", "Service", CRASH);
    kill(&cluster, [1]);
    until_known(&cluster, [1]);

    let mut loads = [Mode::WithGaps, Mode::OneRequest].map(|mode| cluster.load(mode));
    pass(a_minute());
    assert!(!cluster.worker(1).is_ready(), "worker@1 is not in a crash loop: {:?}", cluster.worker(1));
    loads.iter_mut().for_each(|load| load.until_more(500));
    cluster.assert_socket_is_there();

    cluster.revert("worker@1.service");
    let pids = cluster.until_whole();
    for load in loads {
        load.loses_nothing();
    }
    assert!(others.iter().all(|(instance, pid)| pids[instance] == *pid), "{others:?}, then {pids:?}");
    cluster.assert_socket_is_whole();
}

fn connections_wait_while_all_crash_and_are_served_afterwards(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", CRASH);
    kill(&cluster, 1..=4);
    // While a connection waits, systemd counts each end of a worker as a trigger
    // (`TriggerLimitIntervalSec=`). By default twenty in 2 s are too many. The workers end that often before
    // the orchestrator knows that the last one flaps.
    let mut load = cluster.load_unanswered(Mode::Patient);
    until_known(&cluster, 1..=4);
    pass(a_minute());
    assert_eq!(load.answered(), 0, "somebody answers");
    cluster.assert_socket_is_there();

    cluster.revert("worker@.service");
    load.until(200);
    load.loses_nothing();
    cluster.until_whole();
    cluster.assert_socket_is_whole();
    cluster.reload();
}

fn quick_restarts_and_reloads_spare_it_too(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::OneRequest);
    for _ in 0..10 {
        cluster.systemctl(["restart", "worker@1"]).assert_success();
    }
    cluster.configure("workers = 4\n[rollout]\nsettle = \"0s\"\n");
    for _ in 0..8 {
        cluster.reload();
    }
    for _ in 0..8 {
        cluster.systemctl(["restart", "app-cluster"]).assert_success();
    }
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// systemd's own limits must be off, or they would have closed the socket by then. A flapping worker has had
/// more than five starts in 10 s. After that its starts become rarer and rarer.
fn a_minute() -> Duration {
    Duration::from_secs(ci_or_full(3, 60))
}

/// Kills the processes of these workers.
fn kill(cluster: &Cluster, instances: impl IntoIterator<Item = u32>) {
    for instance in instances {
        Process::of(cluster, cluster.worker(instance).pid).kill();
    }
}

/// Waits until the orchestrator knows that each of these workers is in a crash loop.
fn until_known(cluster: &Cluster, instances: impl IntoIterator<Item = u32>) {
    for instance in instances {
        wait_for(&format!("the crash loop of worker@{instance}"), DEADLINE, || {
            let status = cluster.status();
            let worker = status.workers.iter().find(|worker| worker.instance == instance);
            match worker {
                Some(worker) if worker.state == api::WorkerState::Flapping => Ok(()),
                worker => Err(format!("{worker:?}")),
            }
        });
    }
}
