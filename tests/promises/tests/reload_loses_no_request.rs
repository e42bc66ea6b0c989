//! `systemctl reload app-cluster` replaces every worker, and no request is lost.

use promises::{Cluster, Mode, Suite, ci_or_full, wait_for};

promises::in_every_suite!(
    whatever_the_clients_do,
    and_returns_when_all_are_replaced_and_ready,
    also_when_a_signal_asks_for_it,
);

fn whatever_the_clients_do(suite: Suite) {
    let reloads = ci_or_full(3, 20);
    let requests_of_each_mode = ci_or_full(10_000, 340_000);
    let cluster = Cluster::installed(suite);
    let mut answered = 0;
    for mode in Mode::HARD {
        let mut load = cluster.load(mode);
        for _ in 0..reloads {
            load.until_more(500);
            let before = cluster.pids();
            cluster.reload();
            cluster.assert_all_replaced(&before);
        }
        load.until(requests_of_each_mode);
        let report = load.loses_nothing();
        println!("{suite}, {mode:?}: {} requests over {reloads} reloads, 0 lost", report.ok);
        answered += report.ok;
    }
    println!("{suite}: {answered} requests altogether, 0 lost");
    assert!(answered >= 3 * requests_of_each_mode);
    cluster.assert_socket_is_whole();
}

fn and_returns_when_all_are_replaced_and_ready(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();

    // One shell, so that nothing happens between the end of the reload and the look at the workers.
    let script = "systemctl reload app-cluster && \
         systemctl show --property=ActiveState,SubState,MainPID worker@1 worker@2 worker@3 worker@4";
    let seen = cluster.shell(script);
    let lines: Vec<_> = seen.stdout().lines().collect();
    let count = |line: &str| lines.iter().filter(|seen| **seen == line).count();
    assert_eq!((count("ActiveState=active"), count("SubState=running")), (4, 4), "{seen}");
    for pid in before.values() {
        assert_eq!(count(&format!("MainPID={pid}")), 0, "{pid} was not replaced\n{seen}");
    }
}

fn also_when_a_signal_asks_for_it(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    for signal in ["SIGUSR2", "SIGHUP"] {
        let before = cluster.pids();
        cluster.systemctl(["kill", "--kill-whom=main", "--signal", signal, "app-cluster"]).assert_success();
        wait_for(&format!("the end of the rollout that {signal} asked for"), promises::DEADLINE, || {
            let status = cluster.status();
            let is_done = |rollout: &api::Rollout| rollout.state == api::RolloutState::Done;
            let is_new = cluster.workers().iter().all(|w| w.is_ready() && before[&w.instance] != w.pid);
            if is_new && status.rollout.iter().all(is_done) { Ok(()) } else { Err(status.summary) }
        });
    }
    load.loses_nothing();
}
