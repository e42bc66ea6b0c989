//! dpkg is interrupted, or runs in the middle of a rollout. No request is lost, and in the end every worker
//! runs what is installed.

use std::{thread, time::Instant};

use promises::{Cluster, DEADLINE, Mode, Package, Process, Suite, Wire};

promises::in_every_suite!(
    dpkg_interrupted_between_unpack_and_configure,
    dpkg_interrupted_in_the_rollout,
    dpkg_upgrade_that_does_not_take_place,
    dpkg_upgrade_mid_roll,
    remove_mid_roll,
);

fn dpkg_interrupted_between_unpack_and_configure(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::Old);
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    cluster.copy_in(&Package::New.path(), "/tmp/new.deb");
    cluster.run(["dpkg", "--unpack", "/tmp/new.deb"]).assert_success();
    assert_eq!(cluster.pids(), before, "unpacking touched a worker");
    let report = load.loses_nothing();
    assert!(report.ok > 0);

    // A package that is not configured does not run: not in a worker that crashes meanwhile, and not through
    // a restarted orchestrator.
    Process::of(&cluster, before[&2]).kill();
    cluster.until_worker(2, "to be replaced", |worker| worker.is_ready() && worker.pid != before[&2]);
    cluster.systemctl(["restart", "app-cluster"]).assert_success();
    for (instance, release) in cluster.releases() {
        assert_eq!(release, Package::Old.version(), "worker@{instance} runs what was only unpacked");
    }

    finish_the_upgrade(&cluster);
}

fn dpkg_interrupted_in_the_rollout(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::Old);
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    cluster.copy_in(&Package::New.path(), "/tmp/new.deb");
    let upgrade = cluster.begin("upgrade", &["dpkg", "--force-confold", "--install", "/tmp/new.deb"]);
    cluster.until_one_is_replaced(&before);
    upgrade.kill();

    finish_the_upgrade(&cluster);
    load.loses_nothing();
}

/// The command that dpkg's message names.
#[track_caller]
fn finish_the_upgrade(cluster: &Cluster) {
    let load = cluster.load(Mode::WithGaps);
    cluster.run(["dpkg", "--configure", "-a"]).assert_success();
    cluster.until_whole();
    let state = cluster.run(["dpkg-query", "--show", "--showformat=${Status} ${Version}", "app-cluster"]);
    assert_eq!(state.stdout(), format!("install ok installed {}", Package::New.version()));
    cluster.assert_runs_everywhere(&Package::New.version());
    cluster.reloads_all();
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// The new package cannot be unpacked, so dpkg makes the old one undo its preparations (deb-postinst(5)).
fn dpkg_upgrade_that_does_not_take_place(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let orchestrator = || cluster.show("app-cluster.service", "MainPID");
    let before = (orchestrator(), cluster.pids());
    let script = ["/var/lib/dpkg/info/app-cluster.postinst", "abort-upgrade", "9.9"];
    cluster.run(script).assert_success();
    assert_eq!((orchestrator(), cluster.pids()), before, "nothing is new, so nothing is restarted");
}

fn dpkg_upgrade_mid_roll(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::Old);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"1s\"\n");
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    cluster.begin_reload();
    cluster.until_one_is_replaced(&before);

    cluster.install(&Package::New.path()).assert_success();

    cluster.until_whole();
    cluster.assert_runs_everywhere(&Package::New.version());
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn remove_mid_roll(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"1s\"\n");
    let before = cluster.pids();
    cluster.begin_reload();
    cluster.until_one_is_replaced(&before);
    let sleepers = cluster.begin_sleeps(8);
    let answers = thread::spawn(move || {
        sleepers.into_iter().map(|mut wire| wire.receive().map(|answer| answer.status)).collect::<Vec<_>>()
    });

    let begun = Instant::now();
    cluster.apt(["remove", "app-cluster"]).assert_success();
    assert!(begun.elapsed() < DEADLINE, "removing took {:?}", begun.elapsed());

    for answer in answers.join().expect("reading does not panic") {
        assert!(matches!(answer, Ok(200)), "{answer:?}");
    }
    let refused = Wire::open(&cluster).map(drop).expect_err("the port is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let left = cluster.shell("systemctl list-units --plain --no-legend 'worker@*' 'app-cluster*'");
    assert_eq!(left.stdout(), "", "{left}");

    cluster.install(&Package::New.path()).assert_success();
    cluster.until_whole();
    cluster.reloads_all();
    cluster.assert_socket_is_whole();
}
