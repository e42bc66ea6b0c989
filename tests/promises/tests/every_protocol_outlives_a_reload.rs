//! A reload loses no request of any protocol, also with all protocols at once. Streams end as their protocol
//! defines.

use std::time::{Duration, Instant};

use promises::{Cluster, DEADLINE, Load, Mode, Suite, ci_or_full};

promises::in_one_suite!(
    bookworm: one_after_the_other,
    a_million_of_each_kind,
    a_million_of_each_kind_on_several_threads,
);

fn one_after_the_other(suite: Suite) {
    let reloads = ci_or_full(2, 20);
    let cluster = Cluster::installed(suite);
    for mode in Mode::OTHERS {
        let mut load = cluster.load(mode);
        for _ in 0..reloads {
            load.until_more(200);
            let before = cluster.pids();
            cluster.reload();
            cluster.assert_all_replaced(&before);
        }
        let report = load.loses_nothing();
        println!("{suite}, {mode:?}: {} answers over {reloads} reloads, 0 lost", report.ok);
        // No client stays with a worker that has ended.
        assert!(report.connections >= mode.connections() * reloads, "{report}");
    }
}

/// All kinds of clients at once: each sees as many rollouts, on a busy cluster. Rollouts continue until each
/// kind has enough requests. A kind that has enough stops, so that fast kinds do not take the CPU from slow
/// ones.
fn a_million_of_each_kind(suite: Suite) {
    all_at_once(&Cluster::installed(suite));
}

/// With the default runtime of `#[tokio::main]`, which most programs use. Races between two threads cannot
/// happen on one thread.
fn a_million_of_each_kind_on_several_threads(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_THREADS=3");
    cluster.reload();
    all_at_once(&cluster);
}

fn all_at_once(cluster: &Cluster) {
    let suite = cluster.suite();
    let reloads = ci_or_full(2, 20);
    let requests_of_each_kind = ci_or_full(1_000, 1_000_000);
    let modes = Mode::HARD.into_iter().chain(Mode::OTHERS);
    let mut loads: Vec<_> =
        modes.map(|mode| (mode, cluster.load_of(mode, ci_or_full(mode.connections(), fair(mode))))).collect();
    let begun = Instant::now();
    for reload in 1.. {
        let before = cluster.pids();
        cluster.reload();
        cluster.assert_all_replaced(&before);
        let has_enough = |(mode, load): &mut (Mode, Load)| {
            // For these kinds the number of streams counts.
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
        // A limit for bugs: a thousand responses of each kind per second are usual, and half of that is slow.
        assert!(begun.elapsed() < DEADLINE + Duration::from_millis(2 * requests_of_each_kind), "{loads:?}");
    }
    cluster.assert_socket_is_whole();
}

/// With this many connections, no kind needs much longer for a million responses than the others beside it.
fn fair(mode: Mode) -> u64 {
    match mode {
        Mode::Pipelined | Mode::Http2 => 2,
        Mode::KeepAlive => 4,
        Mode::OneRequest => 16,
        Mode::HalfClosed => 16,
        Mode::WithGaps | Mode::Bodies | Mode::Old => 50,
        Mode::WithLongGaps => 500,
        // With more connections this client is late by seconds: with the rest of its upload, and with the
        // next request, which must arrive within the linger time.
        Mode::Astray => 100,
        Mode::SlowUploads => 200,
        _ => mode.connections(),
    }
}
