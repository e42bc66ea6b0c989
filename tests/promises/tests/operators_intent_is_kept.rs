//! A worker that ended by itself comes back. A worker that an operator stopped stays stopped.

use promises::{Cluster, DEADLINE, Mode, Suite, Wire, wait_for};

promises::in_every_suite!(
    a_worker_that_ends_by_itself_is_started_again,
    a_worker_that_was_stopped_stays_stopped,
    and_one_stopped_while_it_settles_is_no_fault_of_the_release,
    also_while_no_orchestrator_runs,
    an_instance_beyond_the_wanted_number_is_stopped,
    a_unit_of_another_kind_is_not_touched,
);

fn a_worker_that_ends_by_itself_is_started_again(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_FAULTS=1");
    cluster.reload();

    let before = cluster.pids();
    let mut wire = Wire::open(&cluster).expect("the cluster accepts");
    let instance = wire.instance().expect("the cluster answers");
    wire.get("/fault/exit").expect_err("the worker exits without an answer");
    cluster.until_worker(instance, "to be back after exit(0)", |worker| {
        worker.is_ready() && worker.pid != before[&instance]
    });

    // kill(1), as an operator does who knows the pid and not the unit: the worker drains, exits with status
    // 0, and comes back.
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
    assert_eq!(cluster.worker(2).pid, 0, "worker@2 was started");
    until_known_as_stopped(&cluster);

    cluster.systemctl(["start", "worker@2"]).assert_success();
    let pids = cluster.until_whole();
    cluster.reload();
    assert_ne!(cluster.pids()[&2], pids[&2], "worker@2 takes part again");
    load.loses_nothing();
}

/// The first orchestrator does not see the stop. Its successor finds a unit that is down like any other.
fn and_one_stopped_while_it_settles_is_no_fault_of_the_release(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"3s\"\n");
    cluster.systemctl(["reload", "--no-block", "app-cluster"]).assert_success();
    wait_for("worker@1 to settle", DEADLINE, || {
        let status = cluster.status();
        let mut steps = status.rollout.iter().flat_map(|rollout| &rollout.steps);
        let settles = |step: &api::Step| step.instance == 1 && step.state == api::StepState::Settling;
        if steps.any(settles) { Ok(()) } else { Err(format!("{status:#?}")) }
    });

    cluster.systemctl(["stop", "worker@1"]).assert_success();

    wait_for("the end of the rollout", DEADLINE, || match cluster.status() {
        status if status.rollout.iter().any(|rollout| rollout.state == api::RolloutState::Done) => Ok(()),
        status => Err(format!("{status:#?}")),
    });
    let first = cluster.status().workers.into_iter().find(|worker| worker.instance == 1);
    assert_eq!(first.map(|worker| worker.state), Some(api::WorkerState::Stopped));
}

fn also_while_no_orchestrator_runs(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let orchestrator = cluster.orchestrator();
    orchestrator.pause();
    cluster.systemctl(["stop", "worker@2"]).assert_success();
    orchestrator.kill();
    wait_for("another orchestrator", DEADLINE, || cluster.try_status());
    until_known_as_stopped(&cluster);
    cluster.reload();
    assert_eq!(cluster.worker(2).pid, 0, "worker@2 was started");
    cluster.systemctl(["start", "worker@2"]).assert_success();
    cluster.until_whole();
}

fn an_instance_beyond_the_wanted_number_is_stopped(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster
        .run(["ln", "-s", "/var/lib/app-cluster/current", "/run/app-cluster/instances/9"])
        .assert_success();
    // A caller that waits for it may learn that the job was canceled.
    let _ = cluster.systemctl(["start", "worker@9"]);
    wait_for("worker@9 to be stopped", DEADLINE, || match cluster.show("worker@9.service", "ActiveState") {
        state if state == "inactive" => Ok(()),
        state => Err(state),
    });
    cluster.until_whole();
}

fn a_unit_of_another_kind_is_not_touched(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["stop", "app-cluster"]).assert_success();
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n";
    cluster.write_file("/etc/systemd/system/worker@.service", unit);
    cluster.systemctl(["daemon-reload"]).assert_success();
    cluster.systemctl(["start", "worker@1", "worker@7"]).assert_success();
    let pids = ["worker@1.service", "worker@7.service"].map(|unit| cluster.show(unit, "MainPID"));
    cluster.systemctl(["start", "app-cluster"]).assert_failure();
    let journal = cluster.journal(["-u", "app-cluster"]);
    assert!(journal.contains("/etc/systemd/system/worker@.service"), "{journal}");
    cluster.systemctl(["stop", "app-cluster"]).assert_success();
    let now = ["worker@1.service", "worker@7.service"].map(|unit| cluster.show(unit, "MainPID"));
    assert_eq!(now, pids, "they are not workers of the cluster");
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
