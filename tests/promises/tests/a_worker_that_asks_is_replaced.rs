//! A worker at one of its limits asks to be replaced. This works as in a rollout: another worker is ready
//! before it stops, one is replaced at a time, and no request is lost. A worker that cannot be replaced
//! continues to serve.

use std::collections::BTreeMap;

use promises::{Cluster, DEADLINE, Mode, Suite, wait_for};

promises::in_every_suite!(
    after_so_many_requests,
    of_age_or_size,
    unless_the_new_one_fails,
    also_when_the_orchestrator_dies_meanwhile,
);

/// Settings with which a rollout would replace several workers at once.
const SEVERAL: &str = "workers = 4\n[rollout]\nsettle = \"100ms\"\nsurge = 3\nmax_unavailable = 2\n";

fn after_so_many_requests(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure(SEVERAL);
    cluster.reload();
    let mut load = cluster.load(Mode::KeepAlive);
    bring(&cluster, "APP_CLUSTER_MAX_REQUESTS=5000");
    let history = cluster.history();
    let account = cluster.open_account();
    let before = cluster.until_whole();
    // Three times, because later workers may ask in another way than the first ones.
    (0..3).fold(before, |before, _| until_all_are_replaced(&cluster, &before));
    let account = cluster.close_account(account);
    assert_eq!((account.fewest_ready(), account.most_ready()), (4, 5), "{account:#?}");
    assert_eq!(cluster.history().len(), history.len(), "the history has only the rollouts of operators");
    let status = cluster.status();
    assert!(status.rollout.iter().all(|rollout| rollout.kind == api::Kind::Recycle), "{status:#?}");
    let asked = cluster.journal(["-u", "worker@*"]);
    assert!(asked.contains("asks to be replaced: ") && asked.contains(" requests begun"), "{asked}");

    cluster.revert("worker@.service");
    cluster.reload();
    load.until_more(500);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn of_age_or_size(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"100ms\"\nsurge = 0\n");
    cluster.reload();
    let load = cluster.load(Mode::Calm);
    for (limit, reason) in
        [("APP_CLUSTER_MAX_AGE=3s", " s old"), ("APP_CLUSTER_MAX_MEMORY=1", " MiB of memory")]
    {
        bring(&cluster, limit);
        let account = cluster.open_account();
        until_all_are_replaced(&cluster, &cluster.until_whole());
        let account = cluster.close_account(account);
        assert_eq!((account.fewest_ready(), account.most_ready()), (3, 4), "{account:#?}");
        let asked = cluster.journal(["-u", "worker@*"]);
        assert!(asked.contains(reason), "{asked}");
        cluster.revert("worker@.service");
    }
    load.loses_nothing();
}

fn unless_the_new_one_fails(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::Calm);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_MAX_AGE=10s");
    cluster.reload();
    let before = cluster.pids();
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_FAULT_START=fail");
    wait_for("the attempt that fails", DEADLINE, || {
        let journal = cluster.journal(["-u", "app-cluster"]);
        if journal.contains("go on serving, next try in 60s") { Ok(()) } else { Err(journal) }
    });
    assert_eq!(cluster.until_whole(), before, "a worker was touched");
    cluster.app_cluster(["status"]).assert_says("worker@5");

    // A reload needs no request of a worker, and brings what works again.
    cluster.revert("worker@.service");
    cluster.reload();
    load.until_more(500);
    load.loses_nothing();
}

fn also_when_the_orchestrator_dies_meanwhile(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.replace_orchestrator_by_a_mortal_one();
    let load = cluster.load(Mode::Calm);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"100ms\"\n");
    cluster.reload();
    // The first restart in a rollout is that of the extra worker. The second is that of a worker that asked.
    for (point, time) in [("restart-enqueued", 1), ("restart-enqueued", 2), ("stop-enqueued", 1)] {
        bring(&cluster, "APP_CLUSTER_MAX_AGE=3s");
        let before = cluster.until_whole();
        cluster.let_orchestrator_die_at(point, time);
        wait_for("the orchestrator's end", DEADLINE, || {
            if cluster.is_orchestrator_to_die() { Err("it lives".to_owned()) } else { Ok(()) }
        });
        until_all_are_replaced(&cluster, &before);
        cluster.revert("worker@.service");
        cluster.reload();
    }
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// Sets this environment variable for all workers.
#[track_caller]
fn bring(cluster: &Cluster, variable: &str) {
    cluster.edit("worker@.service", "Service", &format!("Environment={variable}"));
    cluster.reload();
}

/// Waits until each of the four workers has a new process, and all are ready.
#[track_caller]
fn until_all_are_replaced(cluster: &Cluster, before: &BTreeMap<u32, u32>) -> BTreeMap<u32, u32> {
    wait_for("a new process of each worker", DEADLINE, || {
        let workers = cluster.workers();
        let is_new = |(instance, pid): (&u32, &u32)| {
            workers.iter().any(|w| w.instance == *instance && w.is_ready() && w.pid != *pid)
        };
        if before.iter().all(is_new) {
            Ok(workers.iter().filter(|w| w.instance <= 4).map(|w| (w.instance, w.pid)).collect())
        } else {
            Err(format!("{workers:?}"))
        }
    })
}
