//! The rollout of a package with a failing release stops at the first worker, which is the extra one. The
//! other workers are untouched, no request is lost, and dpkg succeeds. The administrator learns the reason.

use std::collections::BTreeMap;

use promises::{Cluster, Flaw, Mode, Output, Package, Suite};

promises::in_every_suite!(
    that_fails_before_it_is_ready,
    that_is_never_ready,
    that_dies_while_it_settles,
    and_a_fault_of_the_machine_stops_there_too_and_heals,
);

fn that_fails_before_it_is_ready(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let (upgrade, flawed) = roll_in_vain(&cluster, Flaw::FailsBeforeReady);
    upgrade.assert_says("worker@5.service failed before it was ready");
    upgrade.assert_says(&format!("app-cluster rollback {flawed}"));

    let before = cluster.pids();
    let again = cluster.app_cluster(["rollback", &flawed]);
    again.assert_exit_code(2);
    for words in ["worker@5.service", Flaw::REASON, "before it was ready"] {
        assert!(again.stderr().contains(words), "stderr does not say {words:?}\n{again}");
    }
    let journal = cluster.journal(["-u", "app-cluster"]);
    assert!(journal.contains(Flaw::REASON), "the reason is not in the orchestrator's journal");

    assert_why(&cluster);
    assert_eq!(cluster.pids(), before);
    a_reload_restarts_the_workers_all_the_same(&cluster, &flawed);
    cluster.assert_socket_is_whole();
}

fn that_is_never_ready(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "TimeoutStartSec=2s");
    let (upgrade, flawed) = roll_in_vain(&cluster, Flaw::HangsBeforeReady);
    upgrade.assert_says("worker@5.service");
    cluster.app_cluster(["rollback", &flawed]).assert_exit_code(2).assert_says("worker@5.service");
    cluster.assert_socket_is_whole();
}

fn that_dies_while_it_settles(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n");
    let before = cluster.pids();

    // Its first worker serves for a second, and then loses its requests in flight. So there is no load.
    let (upgrade, flawed) = cluster.install_flawed(Flaw::DiesAfterReady);
    upgrade.assert_success();
    assert_old_release_is_untouched(&cluster, &before, &flawed);
    cluster.app_cluster(["rollback", &flawed]).assert_exit_code(2).assert_says("worker@5.service");
    cluster.assert_socket_is_whole();
}

/// The workers stay on the previous release, and the message names the release that is left out.
#[track_caller]
fn a_reload_restarts_the_workers_all_the_same(cluster: &Cluster, flawed: &str) {
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    let reload = cluster.app_cluster(["reload"]);
    reload.assert_success().assert_says(&format!("the package's release {flawed} failed before"));
    cluster.reload();
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    assert_eq!(cluster.status().release, Package::New.version());
    load.loses_nothing();
}

fn and_a_fault_of_the_machine_stops_there_too_and_heals(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_FAULT_START=fail");
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();

    // The release is running already: there is none to roll back to, and no need.
    let reload = cluster.app_cluster(["reload"]);
    reload.assert_exit_code(2).assert_says("worker@5.service").assert_says("before it was ready");
    reload.assert_says("no other worker was touched");
    assert_eq!(cluster.pids(), before);

    cluster.revert("worker@.service");
    cluster.reload();
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// Upgrades to a release with this flaw under load. dpkg succeeds, and its output says that the rollout
/// failed. Also returns the version.
#[track_caller]
fn roll_in_vain(cluster: &Cluster, flaw: Flaw) -> (Output, String) {
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    let (upgrade, flawed) = cluster.install_flawed(flaw);
    upgrade.assert_success().assert_says("could not be brought to it");
    assert_old_release_is_untouched(cluster, &before, &flawed);
    assert_why(cluster);
    load.loses_nothing();
    (upgrade, flawed)
}

/// All workers run the old release in their old processes, and the extra worker is gone.
#[track_caller]
fn assert_old_release_is_untouched(cluster: &Cluster, before: &BTreeMap<u32, u32>, flawed: &str) {
    assert_eq!(cluster.pids(), *before, "a worker was touched");
    let old = Package::New.version();
    for (instance, release) in cluster.releases() {
        assert_eq!(release, old, "worker@{instance} runs another release");
    }
    assert_eq!(cluster.show("worker@5.service", "ActiveState"), "inactive");
    let installed = cluster.run(["dpkg-query", "--show", "--showformat=${Status} ${Version}", "app-cluster"]);
    assert_eq!(installed.stdout(), format!("install ok installed {flawed}"));
}

/// The status shows that the last rollout failed, and where.
#[track_caller]
fn assert_why(cluster: &Cluster) {
    let looks: [&[&str]; 2] =
        [&["systemctl", "--no-pager", "status", "app-cluster"], &["app-cluster", "status"]];
    for look in looks {
        cluster.run(look).assert_says("failed").assert_says("worker@5.service");
    }
}
