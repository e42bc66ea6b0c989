//! Callers that ask for a reload while one runs share the next one. Rollouts never overlap, and every caller
//! learns the result.

use std::thread;

use promises::{Cluster, Mode, Suite, monotonic_usec};

promises::in_every_suite!(two_at_once, five_at_once);

fn two_at_once(suite: Suite) {
    at_once(suite, 2);
}

fn five_at_once(suite: Suite) {
    at_once(suite, 5);
}

#[track_caller]
fn at_once(suite: Suite, callers: usize) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    cluster.until_at_rest();
    let begin = monotonic_usec();

    thread::scope(|scope| {
        let reloads: Vec<_> = (0..callers).map(|_| scope.spawn(|| cluster.app_cluster(["reload"]))).collect();
        for reload in reloads {
            reload.join().expect("waiting does not panic").assert_success();
        }
    });

    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    load.loses_nothing();
    let logged = cluster.logged(&["app-cluster"], begin);
    let steps = logged.iter().filter(|entry| ["begin", "end"].contains(&entry.field("APP_CLUSTER_STEP")));
    let steps: Vec<_> =
        steps.map(|entry| (entry.field("APP_CLUSTER_STEP"), entry.field("APP_CLUSTER_ROLLOUT"))).collect();
    assert!((1..=2).contains(&(steps.len() / 2)), "{callers} callers need one or two rollouts: {steps:?}");
    for rollout in steps.chunks(2) {
        let [("begin", begun), ("end", ended)] = rollout else { panic!("two overlap: {steps:?}") };
        assert_eq!(begun, ended, "{steps:?}");
    }
}
