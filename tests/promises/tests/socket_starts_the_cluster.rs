//! The socket unit controls the cluster: start, stop and restart do what the design says.

use promises::{Cluster, DEADLINE, Mode, Suite, Wire, ci_or_full, wait_for};

promises::in_every_suite!(
    the_first_connection_starts_everything,
    stop_is_a_pause_that_no_client_notices,
    restart_renews_the_orchestrator_and_no_worker,
    the_socket_cannot_be_stopped_by_mistake,
    stopping_the_target_takes_everything_down,
    restarting_the_target_brings_everything_back,
);

fn the_first_connection_starts_everything(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["stop", "app-cluster.target"]).assert_success();
    assert_all_is_down(&cluster);

    cluster.systemctl(["start", "app-cluster.socket"]).assert_success();
    assert_eq!(cluster.show("app-cluster.service", "ActiveState"), "inactive");
    assert!(cluster.workers().iter().all(|worker| worker.pid == 0), "a worker was started");

    let answer =
        Wire::open(&cluster).and_then(|mut wire| wire.get("/")).expect("the first request is answered");
    assert_eq!(answer.status, 200, "{answer:?}");
    cluster.until_whole();
    cluster.until_at_rest();
}

fn stop_is_a_pause_that_no_client_notices(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for mode in [Mode::WithGaps, Mode::OneRequest] {
        let mut load = cluster.load(mode);
        load.until_more(500);
        let before = cluster.until_whole();
        let orchestrator = cluster.orchestrator_pid();

        let stop = cluster.systemctl(["stop", "app-cluster"]);
        if !stop.status().success() {
            // A connection arrived before the orchestrator had ended: systemd replaces the stop by a start.
            stop.assert_says("canceled");
        }
        load.until_more(2000);
        let after = cluster.until_whole();

        assert!(before.iter().all(|(instance, pid)| after[instance] != *pid), "{before:?}, then {after:?}");
        assert_ne!(cluster.orchestrator_pid(), orchestrator);
        load.loses_nothing();
    }
    cluster.assert_socket_is_whole();
}

fn restart_renews_the_orchestrator_and_no_worker(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::WithGaps);
    let (workers, orchestrator) = (cluster.pids(), cluster.orchestrator_pid());

    cluster.systemctl(["restart", "app-cluster"]).assert_success();

    assert_eq!(cluster.pids(), workers);
    assert_ne!(cluster.orchestrator_pid(), orchestrator);
    cluster.assert_socket_is_whole();
    load.until_more(500);
    load.loses_nothing();
    cluster.reload();
    assert_ne!(cluster.pids(), workers, "the new orchestrator did not reload");
}

fn the_socket_cannot_be_stopped_by_mistake(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::OneRequest);
    let (workers, orchestrator) = (cluster.pids(), cluster.orchestrator_pid());

    for verb in ["restart", "stop", "try-restart"] {
        cluster.systemctl([verb, "app-cluster.socket"]).assert_failure();
    }
    assert_eq!(cluster.orchestrator_pid(), orchestrator);
    // Together with a unit that may be restarted. systemd restarts that one.
    cluster.systemctl(["restart", "app-cluster.socket", "app-cluster.service"]).assert_failure();

    load.until_more(500);
    load.loses_nothing();
    assert_eq!(cluster.pids(), workers);
    cluster.until_at_rest();
    cluster.assert_socket_is_whole();
}

fn stopping_the_target_takes_everything_down(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["stop", "app-cluster.target"]).assert_success();
    assert_all_is_down(&cluster);

    cluster.systemctl(["start", "app-cluster.target"]).assert_success();
    cluster.until_whole();
    cluster.until_it_answers();
}

fn restarting_the_target_brings_everything_back(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for _ in 0..ci_or_full(8, 20) {
        // There is no promise here that nothing is lost: the listener is closed on the way.
        cluster.systemctl(["restart", "app-cluster.target"]).assert_success();
        cluster.until_it_answers();
        cluster.until_whole();
        cluster.until_at_rest();
        cluster.assert_socket_is_whole();
    }
    cluster.reload();
}

/// `systemctl stop app-cluster.target` returns when the target is down. Its parts follow.
#[track_caller]
fn assert_all_is_down(cluster: &Cluster) {
    wait_for("everything to be down", DEADLINE, || {
        let units = "app-cluster.service app-cluster.socket app-cluster.target worker@*.service";
        let list = format!(
            "systemctl list-units --plain --no-legend --state=active,activating,deactivating {units}"
        );
        let up = cluster.shell(&list);
        if up.stdout().is_empty() { Ok(()) } else { Err(up.stdout().to_owned()) }
    });
    let refused = Wire::open(cluster).map(drop).expect_err("the port is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
