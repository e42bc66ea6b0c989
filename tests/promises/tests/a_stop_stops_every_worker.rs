//! `systemctl stop app-cluster` ends when no worker runs. That holds whatever was in progress, and if a
//! worker does not answer.

use promises::{Cluster, Process, Suite, ci_or_full};

promises::in_every_suite!(
    whatever_a_reload_does_meanwhile,
    though_the_orchestrator_has_just_started,
    though_polkit_is_gone,
    though_polkit_does_not_answer,
);

fn whatever_a_reload_does_meanwhile(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let rounds = ci_or_full(6, 50);
    for round in 0..rounds {
        let pause = 50 + 700 * round / rounds;
        let begin = format!("systemctl reload --no-block app-cluster; sleep 0.{pause:03}");
        cluster.run(["sh", "-c", &begin]).assert_success();
        stop_and_start(&cluster);
    }
    cluster.assert_socket_is_whole();
}

fn though_the_orchestrator_has_just_started(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let rounds = ci_or_full(4, 50);
    for round in 0..rounds {
        cluster.systemctl(["stop", "app-cluster"]).assert_success();
        let pause = 80 * round / rounds;
        let begin = format!("systemctl start --no-block app-cluster; sleep 0.{pause:03}");
        cluster.run(["sh", "-c", &begin]).assert_success();
        stop_and_start(&cluster);
    }
}

fn though_polkit_is_gone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["mask", "--runtime", "--now", "polkit.service"]).assert_success();
    // The stop reports that it was refused. What matters is which processes run.
    let _ = cluster.systemctl(["stop", "app-cluster"]);
    assert_none_runs(&cluster);
    cluster.systemctl(["unmask", "--runtime", "polkit.service"]).assert_success();
    start(&cluster);
}

fn though_polkit_does_not_answer(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let pid = cluster.show("polkit.service", "MainPID").parse().expect("polkit runs");
    let polkit = Process::of(&cluster, pid);
    polkit.pause();
    let _ = cluster.systemctl(["stop", "app-cluster"]);
    assert_none_runs(&cluster);
    polkit.resume();
    start(&cluster);
}

#[track_caller]
fn stop_and_start(cluster: &Cluster) {
    cluster.systemctl(["stop", "app-cluster"]).assert_success();
    assert_none_runs(cluster);
    start(cluster);
}

#[track_caller]
fn start(cluster: &Cluster) {
    cluster.systemctl(["reset-failed"]).assert_success();
    cluster.systemctl(["start", "app-cluster"]).assert_success();
    cluster.until_whole();
}

#[track_caller]
fn assert_none_runs(cluster: &Cluster) {
    let units =
        ["list-units", "--plain", "--no-legend", "--state=active,activating,deactivating", "worker@*"];
    let running = cluster.systemctl(units);
    assert_eq!(running.stdout(), "", "a worker still runs");
}
