//! /var or /run is full or read-only. A rollout is refused before it touches the first worker, and the
//! message says where. After the repair the next reload brings what was installed meanwhile.

use promises::{Cluster, Disk, Mode, Package, Suite};

promises::in_every_suite!(var_is_full, run_is_full, var_is_read_only, run_is_read_only);

fn var_is_full(suite: Suite) {
    an_upgrade_is_refused(suite, Disk::VAR, Disk::fill, Disk::make_room);
}

fn run_is_full(suite: Suite) {
    an_upgrade_is_refused(suite, Disk::RUN, Disk::fill, Disk::make_room);
}

fn var_is_read_only(suite: Suite) {
    an_upgrade_is_refused(suite, Disk::VAR, Disk::make_read_only, Disk::make_writable);
}

fn run_is_read_only(suite: Suite) {
    an_upgrade_is_refused(suite, Disk::RUN, Disk::make_read_only, Disk::make_writable);
}

#[track_caller]
fn an_upgrade_is_refused(suite: Suite, disk: Disk, spoil: fn(Disk, &Cluster), mend: fn(Disk, &Cluster)) {
    let cluster = Cluster::installed_on(suite, Package::Old, |cluster| disk.mount(cluster));
    let mut load = cluster.load(Mode::WithGaps);
    let before = cluster.workers();
    spoil(disk, &cluster);

    // dpkg does its part even if the rollout fails: a half-finished upgrade is harder to repair.
    let upgrade = cluster.install(&Package::New.path());
    assert_eq!(cluster.workers(), before, "a worker was touched\n{upgrade}");
    upgrade.assert_success().assert_says(disk.directory()).assert_says("systemctl reload app-cluster");
    cluster.refuses_to_reload(&[disk.directory()]);
    load.until_more(500);

    mend(disk, &cluster);
    cluster.reloads_all();
    cluster.assert_runs_everywhere(&Package::New.version());
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}
