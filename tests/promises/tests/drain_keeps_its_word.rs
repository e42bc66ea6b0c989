//! A worker that is replaced answers the requests that it has received. Only the drain deadline stops it, and
//! then it says so.

use std::thread;

use promises::{Cluster, Mode, Suite, Wire, monotonic_usec};

promises::in_every_suite!(
    a_request_under_way_is_answered,
    an_idle_connection_gets_one_more_answer,
    what_exceeds_the_deadline_is_cut_counted_and_told,
    stopping_waits_for_what_is_under_way,
);

fn a_request_under_way_is_answered(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    let mut sleepers = cluster.wires_to_all();
    for wire in &mut sleepers {
        wire.send("/sleep?ms=3000").expect("the worker reads");
    }
    cluster.reload();
    for mut wire in sleepers {
        let answer = wire.receive().expect("the request is answered");
        assert_eq!((answer.status, answer.body.as_str()), (200, "slept 3000 ms\n"), "{answer:?}");
    }
    load.loses_nothing();
}

fn an_idle_connection_gets_one_more_answer(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut idle = cluster.wires_to_all().swap_remove(0);
    let instance = idle.instance().expect("the worker answers");
    let unit = format!("worker@{instance}");
    let before = cluster.worker(instance);

    cluster.systemctl(["restart", "--no-block", &unit]).assert_success();
    cluster.until_worker(instance, "to drain", |worker| worker.active == "deactivating");
    let answer = idle.get("/").expect("the worker lingers for the next request on an idle connection");

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.closes, "the last answer has no `Connection: close`: {answer:?}");
    assert!(answer.body.contains(&format!("\"pid\":{}", before.pid)), "another worker answered: {answer:?}");
    idle.until_closed().expect("the worker closes after the last answer");
    cluster.until_worker(instance, "to be back", |worker| worker.is_ready() && worker.pid != before.pid);
}

fn what_exceeds_the_deadline_is_cut_counted_and_told(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let settings = "Environment=APP_CLUSTER_DRAIN=1s APP_CLUSTER_LINGER=500ms";
    cluster.edit("worker@.service", "Service", settings);
    cluster.reload();

    let mut wire = Wire::open(&cluster).expect("the cluster accepts");
    let instance = wire.instance().expect("the cluster answers");
    wire.send("/sleep?ms=30000").expect("the worker reads");
    let begin = monotonic_usec();
    cluster.reload();

    wire.receive().expect_err("the answer would come long after the deadline");
    let rollout = cluster.status().rollout.pop().expect("there was a rollout");
    let cost = "; 1 connection was closed by force at the end of a drain";
    assert!(rollout.message.ends_with(cost), "{}", rollout.message);
    let unit = format!("worker@{instance}");
    let told = cluster.logged(&[&unit], begin);
    let cut = told.iter().find(|entry| entry.message().contains("1 connection") && entry.is_warning());
    assert!(cut.is_some(), "no message says that a request was cut: {told:#?}");
    // systemd logs this when a service ends with another status.
    assert!(!told.iter().any(|entry| entry.message().contains("Main process exited")), "{told:#?}");
    assert!(told.iter().any(|entry| entry.message().contains("Deactivated successfully")), "{told:#?}");
    cluster.assert_socket_is_whole();
}

fn stopping_waits_for_what_is_under_way(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut sleepers = cluster.wires_to_all();
    for wire in &mut sleepers {
        wire.send("/sleep?ms=3000").expect("the worker reads");
    }
    let answers = thread::spawn(move || {
        sleepers.into_iter().map(|mut wire| wire.receive().map(|answer| answer.status)).collect::<Vec<_>>()
    });

    cluster.systemctl(["stop", "app-cluster"]).assert_success();

    for unit in ["app-cluster", "worker@1", "worker@2", "worker@3", "worker@4"] {
        assert_eq!(cluster.show(unit, "ActiveState"), "inactive", "{unit}");
    }
    for answer in answers.join().expect("reading does not panic") {
        assert!(matches!(answer, Ok(200)), "{answer:?}");
    }
    assert_eq!(cluster.show("app-cluster.socket", "ActiveState"), "active");
    cluster.until_it_answers();
    cluster.until_whole();
}
