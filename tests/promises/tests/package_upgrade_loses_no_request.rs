//! An upgrade of the package with apt under load loses no request. Removing the package removes all that it
//! installed.

use promises::{Cluster, Entry, Mode, Package, Suite, Wire, monotonic_usec};

promises::in_every_suite!(
    up_and_down_again,
    a_cluster_that_was_stopped_stays_so,
    remove_stops_everything_and_a_reinstallation_starts_it,
    remove_follows_no_link,
    remove_closes_a_socket_that_is_left_alone,
    purge_leaves_nothing,
);

fn up_and_down_again(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::Old);
    let begin = monotonic_usec();
    let mut downgrade = (0, 0);
    let socket = cluster.show("app-cluster.socket", "ActiveEnterTimestampMonotonic");
    for (mode, package) in Mode::HARD.into_iter().zip([Package::New, Package::Old, Package::New]) {
        let mut load = cluster.load(mode);
        load.until_more(500);
        let (workers, orchestrator) = (cluster.pids(), cluster.orchestrator_pid());
        match package {
            Package::Old => downgrade.0 = monotonic_usec(),
            Package::New => downgrade.1 = monotonic_usec(),
        }

        let upgrade = cluster.install(&package.path());

        upgrade.assert_success();
        let renewed = cluster.pids();
        assert!(
            renewed.iter().all(|(i, pid)| workers[i] != *pid),
            "{workers:?}, then {renewed:?}\n{upgrade}"
        );
        assert_ne!(cluster.orchestrator_pid(), orchestrator, "the orchestrator was not restarted");
        assert_runs_everywhere(&cluster, &package.version());
        load.until_more(500);
        let report = load.loses_nothing();
        println!("{suite}: to {} under {mode:?}: {} requests, 0 lost", package.version(), report.ok);
    }
    assert_eq!(
        cluster.show("app-cluster.socket", "ActiveEnterTimestampMonotonic"),
        socket,
        "the socket was replaced"
    );
    cluster.assert_socket_is_whole();
    let logged = cluster.logged(&["app-cluster", "worker@*"], begin);
    // An older version warns of what a later one has written and it does not know.
    let is_of_new = |entry: &&Entry| !(downgrade.0..downgrade.1).contains(&entry.monotonic_usec());
    let warnings: Vec<_> = logged.iter().filter(|entry| entry.is_warning() && is_of_new(entry)).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

#[track_caller]
fn assert_runs_everywhere(cluster: &Cluster, version: &str) {
    let status = cluster.status();
    assert_eq!(status.version, version, "the orchestrator's version");
    assert_eq!(status.release, version, "the current release");
    for worker in &status.workers {
        assert_eq!(worker.release, version, "the release of {} in the status", worker.unit);
    }
    for (instance, release) in cluster.releases() {
        assert_eq!(release, version, "the release that worker@{instance} reports");
    }
}

fn a_cluster_that_was_stopped_stays_so(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::Old);
    cluster.systemctl(["stop", "app-cluster.target", "app-cluster.service"]).assert_success();

    cluster.install(&Package::New.path()).assert_success();

    for unit in ["app-cluster.service", "app-cluster.socket", "app-cluster.target", "worker@1.service"] {
        assert_eq!(cluster.show(unit, "ActiveState"), "inactive", "{unit}");
    }
    cluster.systemctl(["start", "app-cluster.target"]).assert_success();
    cluster.until_whole();
    assert_runs_everywhere(&cluster, &Package::New.version());
}

fn remove_follows_no_link(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let link = ["ln", "--symbolic", "/etc/planted", "/var/lib/app-cluster/removed"];
    cluster.run_as("app-cluster", &link).assert_success();
    cluster.apt(["remove", "app-cluster"]).assert_success();
    cluster.run(["test", "-e", "/etc/planted"]).assert_failure();
}

/// The state that a worker leaves if it was started while everything was being stopped.
fn remove_closes_a_socket_that_is_left_alone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["stop", "app-cluster.target"]).assert_success();
    cluster.systemctl(["start", "app-cluster.socket"]).assert_success();
    cluster.apt(["remove", "app-cluster"]).assert_success();
    assert_nothing_runs(&cluster);
}

fn remove_stops_everything_and_a_reinstallation_starts_it(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::New);
    cluster.apt(["remove", "app-cluster"]).assert_success();
    assert_nothing_runs(&cluster);
    // Settings belong to the administrator until a purge.
    cluster.run(["test", "-e", "/etc/app-cluster/conf.d/50-promise.toml"]).assert_success();

    cluster.install(&Package::New.path()).assert_success();
    cluster.until_whole();
    assert_runs_everywhere(&cluster, &Package::New.version());
}

fn purge_leaves_nothing(suite: Suite) {
    let cluster = Cluster::installed_from(suite, Package::New);
    cluster.reload();
    cluster.app_cluster(["scale", "5"]).assert_success();
    cluster.apt(["purge", "app-cluster"]).assert_success();
    assert_nothing_runs(&cluster);

    // The logs belong to apt, dpkg and the journal, and /tmp holds the package file of this test.
    let left = cluster.shell(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /tmp -o -path /var/log -o -path /run/log \
             -o -path /var/cache/apt -o -path /var/lib/dpkg \\) -prune -o \
         \\( -name '*app-cluster*' -o -name '*appcluster*' -o -name 'worker@*' \\) -print; \
         find /run -name '*app-cluster*' -print; \
         grep -H app-cluster /etc/passwd /etc/group /etc/shadow /etc/gshadow || true; \
         systemctl list-units --all --plain --no-legend 'app-cluster*' 'worker@*'; \
         systemctl list-unit-files --no-legend 'app-cluster*' 'worker@*' || true; \
         ls /var/lib/dpkg/info/app-cluster* 2>/dev/null || true",
    );
    assert_eq!(left.stdout(), "", "left behind:\n{left}");

    cluster.install(&Package::New.path()).assert_success();
    cluster.until_it_answers();
}

#[track_caller]
fn assert_nothing_runs(cluster: &Cluster) {
    let refused = Wire::open(cluster).map(drop).expect_err("the port is closed");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let processes = cluster.shell("ps -eo user:32,args | grep -e '^app-cluster' -e '[/]app-cluster' || true");
    assert_eq!(processes.stdout(), "", "processes are left:\n{processes}");
}
