//! The number of workers changes while they serve. No remaining worker is restarted, and no request is lost.
//! The new number survives a reboot or not, as the operator chose.

use std::thread;

use promises::{Cluster, DEADLINE, Mode, Suite, wait_for};

promises::in_every_suite!(
    up_and_down,
    and_tells_which_worker_fails,
    without_waiting,
    until_the_next_boot_or_for_good,
    after_the_rollout_under_way
);

const KEPT: &str = "/etc/app-cluster/conf.d/90-scale.toml";
const RUNTIME: &str = "/run/app-cluster/conf.d/91-scale-runtime.toml";

fn up_and_down(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for mode in Mode::HARD {
        let mut load = cluster.load(mode);
        for number in [7, 2, 4] {
            let before = cluster.status();
            cluster.app_cluster(["scale", &number.to_string()]).assert_success();
            // The command returns when the workers are ready, or gone.
            let after = cluster.status();
            let are_up =
                after.workers.iter().filter(|worker| worker.state == api::WorkerState::Ready).count();
            assert_eq!((after.ready, are_up), (number, number as usize), "{:?}", after.workers);
            let after = until_workers(&cluster, number);
            for worker in &after.workers {
                let former = before.workers.iter().find(|former| former.instance == worker.instance);
                assert!(
                    former.is_none_or(|former| former.pid == worker.pid),
                    "{} was restarted",
                    worker.unit
                );
            }
            load.until_more(500);
        }
        load.loses_nothing();
    }
    cluster.assert_socket_is_whole();
}

fn and_tells_which_worker_fails(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_FAULT_START=fail");
    let scale = cluster.app_cluster(["scale", "5"]);
    scale.assert_exit_code(1).assert_says("worker@5.service did not become ready: it exited with status 1");
    scale.assert_says("`app-cluster scale 4` restores the old number");
    assert_eq!(cluster.status().desired, 5, "the start is tried again");
    cluster.revert("worker@.service");
    cluster.app_cluster(["scale", "4"]).assert_success();
    until_workers(&cluster, 4);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// The last number counts, even if workers still start or stop for the previous one.
fn without_waiting(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    for last in [2, 6, 3, 5] {
        cluster
            .shell(&format!(
                "mkdir -p $(dirname {KEPT}) && for n in 5 2 6 3 {last}; do echo workers = $n >{KEPT} && \
                 busctl --system call org.appcluster1 /org/appcluster1 org.appcluster1 Reconfigure || exit; done"
            ))
            .assert_success();
        until_workers(&cluster, last);
    }
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn until_the_next_boot_or_for_good(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::Calm);
    cluster.app_cluster(["scale", "5"]).assert_success().assert_says("4 → 5 workers");
    cluster.app_cluster(["scale", "3", "--runtime"]).assert_success().assert_says("until the next boot");
    until_workers(&cluster, 3);
    cluster.systemctl(["restart", "app-cluster"]).assert_success();
    until_workers(&cluster, 3);
    assert_eq!(files(&cluster), format!("{KEPT}\n{RUNTIME}"));

    // After a boot /run is empty. Otherwise the number would have been five again.
    cluster.run(["mv", RUNTIME, "/srv"]).assert_success();
    cluster.systemctl(["restart", "app-cluster"]).assert_success();
    until_workers(&cluster, 5);
    cluster.run(["mv", "/srv/91-scale-runtime.toml", RUNTIME]).assert_success();

    // A permanent number replaces one that holds until the next boot.
    cluster.app_cluster(["scale", "4"]).assert_success();
    until_workers(&cluster, 4);
    assert_eq!(files(&cluster), KEPT);
    load.until_more(500);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn after_the_rollout_under_way(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"1s\"\n");
    let load = cluster.load(Mode::Calm);
    for number in [6, 4] {
        let wanted = cluster.status().desired;
        thread::scope(|scope| {
            let reload = scope.spawn(|| cluster.try_reload());
            wait_for("the rollout", DEADLINE, || {
                let status = cluster.status();
                let runs = status.rollout.iter().any(|rollout| rollout.state == api::RolloutState::Running);
                if runs { Ok(()) } else { Err(status.summary) }
            });
            cluster.app_cluster(["scale", &number.to_string()]).assert_success();
            assert_eq!(cluster.status().desired, wanted, "the current rollout is for another number");
            reload.join().expect("no panic").assert_success();
        });
        let rollout = cluster.status().rollout.pop().expect("there was a rollout");
        assert_eq!(rollout.state, api::RolloutState::Done, "{rollout:#?}");
        until_workers(&cluster, number);
    }
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// Waits until exactly this many workers are ready.
#[track_caller]
fn until_workers(cluster: &Cluster, number: u32) -> api::Status {
    wait_for(&format!("{number} workers"), DEADLINE, || {
        let status = cluster.try_status()?;
        let is_there = status.ready == number && status.workers.len() == number as usize;
        if is_there { Ok(status) } else { Err(format!("{}: {:?}", status.summary, status.workers)) }
    })
}

/// The files that contain a number of workers.
#[track_caller]
fn files(cluster: &Cluster) -> String {
    cluster
        .shell("ls /etc/app-cluster/conf.d/9*-scale* /run/app-cluster/conf.d/* 2>/dev/null || true")
        .stdout()
        .to_owned()
}
