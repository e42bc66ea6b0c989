//! What was meant is kept: a worker that ended by itself comes back, and one that was stopped stays stopped.

use promises::{Cluster, DEADLINE, Mode, Suite, Wire, wait_for};

promises::in_every_suite!(
    a_worker_that_ends_by_itself_is_started_again,
    a_worker_that_was_stopped_stays_stopped,
);

fn a_worker_that_ends_by_itself_is_started_again(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_FAULTS=1");
    cluster.reload();

    let before = cluster.pids();
    let mut wire = Wire::open(&cluster).expect("the cluster accepts");
    let instance = wire.instance().expect("the cluster answers");
    wire.get("/fault/exit").expect_err("it ends without an answer");
    cluster.until_worker(instance, "to be back after exit(0)", |worker| {
        worker.is_ready() && worker.pid != before[&instance]
    });

    // kill(1), as somebody does who knows pids and not units: it drains, exits with status 0, and comes back.
    let before = cluster.until_whole();
    cluster.run(["kill", "-TERM", &before[&3].to_string()]).assert_success();
    cluster
        .until_worker(3, "to be back after SIGTERM", |worker| worker.is_ready() && worker.pid != before[&3]);
    cluster.until_whole();
    cluster.assert_socket_is_whole();
}

fn a_worker_that_was_stopped_stays_stopped(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::WithGaps);
    cluster.systemctl(["stop", "worker@2"]).assert_success();
    until_known_as_stopped(&cluster);

    let before = cluster.workers();
    cluster.reload();
    for (before, after) in before.iter().zip(cluster.workers()) {
        assert_eq!(after.is_ready(), after.instance != 2, "{after:?}");
        assert!(after.instance == 2 || after.pid != before.pid, "{after:?} was not replaced");
    }
    cluster.systemctl(["restart", "app-cluster"]).assert_success();
    cluster.reload();
    load.until_more(500);
    assert_eq!(cluster.worker(2).pid, 0, "somebody started it");
    until_known_as_stopped(&cluster);

    cluster.systemctl(["start", "worker@2"]).assert_success();
    let pids = cluster.until_whole();
    cluster.reload();
    assert_ne!(cluster.pids()[&2], pids[&2], "it takes part again");
    load.loses_nothing();
}

#[track_caller]
fn until_known_as_stopped(cluster: &Cluster) {
    wait_for("the status to say that worker@2 is stopped", DEADLINE, || {
        let status = cluster.status();
        let worker = status.workers.iter().find(|worker| worker.instance == 2);
        match worker {
            Some(worker) if worker.state == api::WorkerState::Stopped => Ok(()),
            worker => Err(format!("{worker:?}")),
        }
    });
}
