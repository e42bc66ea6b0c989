//! Until one worker has succeeded, every other worker stays on the old release, even one that crashes
//! meanwhile. For a while after the rollout, the orchestrator watches the release.

use promises::{Cluster, DEADLINE, Package, Suite, wait_for};

promises::in_every_suite!(
    a_canary_does_not_leak,
    a_trial_does_not_leak,
    the_watch_outlives_the_orchestrator,
    a_lost_link_is_set_again,
);

fn a_canary_does_not_leak(suite: Suite) {
    let cluster = with_good_program(suite);
    cluster.app_cluster(["deploy", "/srv/good", "--id", "good", "--canary", "1"]).assert_exit_code(0);
    let on_old = others_than(&cluster, "good");
    assert_eq!(on_old.len(), 4, "the extra worker is the canary: {:#?}", cluster.status());
    for worker in &on_old[..2] {
        cluster.systemctl(["kill", "-s", "KILL", &format!("worker@{worker}")]).assert_success();
    }
    cluster.until_whole();
    assert_eq!(others_than(&cluster, "good"), on_old, "{:#?}", cluster.status());

    cluster.app_cluster(["resume"]).assert_exit_code(0);
    wait_for("the rollout to end", DEADLINE, || match others_than(&cluster, "good")[..] {
        [] => Ok(()),
        ref others => Err(format!("{others:?} are not on it")),
    });
    cluster.until_whole();
}

fn a_trial_does_not_leak(suite: Suite) {
    let cluster = with_good_program(suite);
    cluster.write_program("/srv/hang", "#!/bin/sh\nsleep 100\n");
    cluster.edit("worker@.service", "Service", "TimeoutStartSec=5s");
    cluster
        .run(["sh", "-c", "app-cluster deploy /srv/hang --id hang >/dev/null 2>&1 & sleep 1"])
        .assert_success();
    for worker in ["worker@1", "worker@2"] {
        cluster.systemctl(["kill", "-s", "KILL", worker]).assert_success();
    }
    let old = Package::New.version();
    for worker in [1, 2] {
        cluster.until_worker(worker, "to be back at once", |worker| worker.is_ready());
    }
    assert_eq!(others_than(&cluster, &old), [5], "{:#?}", cluster.status());
    cluster.until_at_rest();
    cluster.until_whole();
}

/// The release crashes 3 s after READY=1, when its rollout has ended.
fn the_watch_outlives_the_orchestrator(suite: Suite) {
    let cluster = with_good_program(suite);
    cluster.configure(
        "workers = 2\n[rollout]\nsettle = \"200ms\"\nwatch = \"10min\"\n\
         [backoff]\nburst = 2\nwindow = \"1min\"\nfirst = \"1s\"\nmax = \"2s\"\n",
    );
    cluster.app_cluster(["reload"]).assert_exit_code(0);
    let program =
        "#!/bin/sh\nAPP_CLUSTER_FAULT_START=crash-after=3s exec /usr/lib/app-cluster/release/worker\n";
    cluster.write_program("/srv/dies", program);
    cluster.app_cluster(["deploy", "/srv/dies", "--id", "dies"]).assert_exit_code(0);
    cluster.systemctl(["restart", "app-cluster"]).assert_success();
    let old = Package::New.version();
    wait_for("the release to be undone", DEADLINE, || {
        let status = cluster.status();
        let is_back = status.release == old && status.ready == 2;
        if is_back { Ok(()) } else { Err(status.summary) }
    });
    assert_eq!(others_than(&cluster, &old), [0; 0]);
}

fn a_lost_link_is_set_again(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[backoff]\nfirst = \"1s\"\nmax = \"2s\"\n");
    cluster.reload();
    cluster.run(["rm", "-r", "/run/app-cluster/instances", "/var/lib/app-cluster/current"]).assert_success();
    cluster.systemctl(["kill", "-s", "KILL", "worker@2"]).assert_success();
    cluster.until_worker(2, "to be back", |worker| worker.is_ready());
    cluster.reload();
    let link = cluster.run(["readlink", "/var/lib/app-cluster/current"]);
    assert_eq!(link.stdout(), format!("releases/{}", Package::New.version()));
}

fn with_good_program(suite: Suite) -> Cluster {
    let cluster = Cluster::installed(suite);
    cluster.write_program("/srv/good", "#!/bin/sh\nexec /usr/lib/app-cluster/release/worker\n");
    cluster
}

/// The workers that run another release.
fn others_than(cluster: &Cluster, release: &str) -> Vec<u32> {
    let workers = cluster.status().workers;
    let others = workers.iter().filter(|worker| worker.pid != 0 && worker.release != release);
    others.map(|worker| worker.instance).collect()
}
