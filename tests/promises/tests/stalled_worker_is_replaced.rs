//! A worker whose runtime stalls does not feed its watchdog. systemd kills it and starts another, and the
//! other workers serve.

use promises::{Cluster, Entry, Mode, Suite, Wire, assert_only_cut, monotonic_usec};

promises::in_every_suite!(by_its_watchdog);

fn by_its_watchdog(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "WatchdogSec=1s\nEnvironment=APP_CLUSTER_FAULTS=1");
    cluster.reload();
    let before = cluster.pids();

    let mut wire = Wire::open(&cluster).expect("the cluster accepts");
    let stalled = wire.instance().expect("the cluster answers");
    let mut load = cluster.load(Mode::WithGaps);
    load.until_more(500);
    let begin = monotonic_usec();
    wire.send("/fault/hang").expect("the worker still reads");

    let after = cluster.until_worker(stalled, "to be replaced", |worker| {
        worker.is_ready() && worker.pid != before[&stalled]
    });
    assert_eq!(after.restarts, 1);
    let unit = format!("worker@{stalled}");
    let journal = cluster.journal(["-u", &unit]);
    assert!(journal.contains("Watchdog timeout"), "the watchdog did not end it:\n{journal}");
    cluster.until_whole();
    load.until_more(500);

    let told = cluster.logged(&["app-cluster"], begin);
    let messages: Vec<_> = told.iter().map(Entry::message).collect();
    for lie in ["stopped by an operator", "is not started again"] {
        assert!(
            !messages.iter().any(|told| told.contains(lie)),
            "no operator stopped it, and it runs: {messages:#?}"
        );
    }

    // Only clients of this worker lost requests. They got an error and did not wait for ever.
    let report = load.stop();
    assert_only_cut(&report, before[&stalled], Mode::WithGaps.connections());
    let pids = cluster.pids();
    let others = before.iter().filter(|(instance, _)| **instance != stalled);
    assert!(others.into_iter().all(|(instance, pid)| pids[instance] == *pid), "{before:?}, then {pids:?}");
    cluster.assert_socket_is_whole();
}
