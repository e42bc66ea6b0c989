//! `systemctl reload app-cluster` replaces every worker, and not one request is lost.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use promises::{Cluster, DEADLINE, Load, Mode, Suite, ci_or_full, wait_for};

promises::in_every_suite!(
    whatever_the_clients_do,
    in_every_protocol,
    a_million_of_each_kind,
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
            assert_all_replaced(&before, &cluster.pids());
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

fn in_every_protocol(suite: Suite) {
    let reloads = ci_or_full(2, 20);
    let cluster = Cluster::installed(suite);
    for mode in Mode::OTHERS {
        let mut load = cluster.load(mode);
        for _ in 0..reloads {
            load.until_more(200);
            let before = cluster.pids();
            cluster.reload();
            assert_all_replaced(&before, &cluster.pids());
        }
        let report = load.loses_nothing();
        println!("{suite}, {mode:?}: {} answers over {reloads} reloads, 0 lost", report.ok);
        // Nobody stays with a worker that is gone.
        assert!(report.connections >= mode.connections() * reloads, "{report}");
    }
}

/// All kinds at once: that is as many rollouts for each of them, and a busy cluster besides. Rollouts go on as long as
/// one kind has not enough; who has enough leaves, so that the fast ones do not take the processors from the slow ones.
fn a_million_of_each_kind(suite: Suite) {
    let reloads = ci_or_full(2, 20);
    let requests_of_each_kind = ci_or_full(1_000, 1_000_000);
    let cluster = Cluster::installed(suite);
    let modes = Mode::HARD.into_iter().chain(Mode::OTHERS);
    let mut loads: Vec<_> =
        modes.map(|mode| (mode, cluster.load_of(mode, ci_or_full(mode.connections(), fair(mode))))).collect();
    let begun = Instant::now();
    for reload in 1.. {
        let before = cluster.pids();
        cluster.reload();
        assert_all_replaced(&before, &cluster.pids());
        let has_enough = |(mode, load): &mut (Mode, Load)| {
            // Of these it is the streams that count.
            let counts_streams = matches!(mode, Mode::Events | Mode::WebSockets);
            reload >= reloads && (counts_streams || load.answered() >= requests_of_each_kind)
        };
        for (mode, load) in loads.extract_if(.., has_enough) {
            let report = load.loses_nothing();
            println!("{suite}, {mode:?}: {} answers over {reload} reloads, 0 lost", report.ok);
            assert!(report.connections >= mode.connections().min(fair(mode)) * reload, "{report}");
        }
        if loads.is_empty() {
            break;
        }
        assert!(begun.elapsed() < DEADLINE + Duration::from_millis(requests_of_each_kind), "{loads:?}");
    }
    cluster.assert_socket_is_whole();
}

/// With so many connections no kind takes much longer for a million answers than the others beside it.
fn fair(mode: Mode) -> u64 {
    match mode {
        Mode::Pipelined | Mode::Http2 => 2,
        Mode::KeepAlive => 4,
        Mode::OneRequest => 16,
        Mode::WithGaps | Mode::Bodies => 50,
        Mode::WithLongGaps => 500,
        Mode::SlowUploads => 1_000,
        _ => mode.connections(),
    }
}

fn and_returns_when_all_are_replaced_and_ready(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();

    // One shell, so that nothing lies between the end of the reload and the look at the workers.
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

#[track_caller]
fn assert_all_replaced(before: &BTreeMap<u32, u32>, after: &BTreeMap<u32, u32>) {
    for (instance, pid) in before {
        assert_ne!(after[instance], *pid, "worker@{instance} is still the process of before");
    }
}
