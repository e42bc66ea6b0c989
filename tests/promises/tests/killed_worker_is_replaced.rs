//! `kill -9` of a worker: its replacement is ready within milliseconds, and only requests in flight on it are
//! lost.

use std::time::Duration;

use promises::{Cluster, Mode, Process, Suite, assert_only_cut, ci_or_full};

promises::in_every_suite!(within_milliseconds, and_only_requests_in_flight_on_it_fail);

/// The median time beyond the worker's own start.
const PROMISED: Duration = Duration::from_millis(15);
/// How many attempts there are. On an idle machine one is enough. Beside builds and other tests, at least one
/// round must be undisturbed.
const ROUNDS: u32 = 12;

fn within_milliseconds(suite: Suite) {
    let cluster = Cluster::installed(suite);
    // Each round kills every worker more than once. With the default of five ends in ten seconds, the later
    // rounds would measure the pauses of a flapping worker.
    cluster.configure("workers = 4\n[backoff]\nburst = 100\n");
    cluster.reload();
    let load = cluster.load(Mode::Calm);
    // Other programs that need the CPU make any time longer, and none shorter.
    let is_kept = (0..ROUNDS).any(|_| round(&cluster, suite) <= PROMISED);
    load.stop();
    assert!(is_kept, "promised are {PROMISED:?} beyond the worker's own start, {ROUNDS} rounds took longer");
    cluster.assert_socket_is_whole();
}

/// Starts and kills each worker in turn. Returns the median time of the replacement beyond the worker's own
/// start.
fn round(cluster: &Cluster, suite: Suite) -> Duration {
    let (own_starts, replacements): (Vec<_>, Vec<_>) =
        victims().map(|instance| (own_start(cluster, instance), replacement(cluster, instance))).unzip();
    let differences = replacements.iter().zip(&own_starts).map(|(all, own)| all.saturating_sub(*own));
    let beyond = median(differences.collect());
    println!(
        "{suite}: kill -9 to READY {:?}, the worker's own start {:?}, beyond it {beyond:?} (medians)",
        median(replacements),
        median(own_starts),
    );
    beyond
}

/// How long a worker's start takes when systemd is asked for it: from the end of the old process to READY=1.
/// A part of that is the work of systemd and the kernel for the sandbox and the cgroup, before and after the
/// process exists.
fn own_start(cluster: &Cluster, instance: u32) -> Duration {
    cluster.systemctl(["restart", &format!("worker@{instance}.service")]).assert_success();
    let worker = cluster.worker(instance);
    Duration::from_micros(worker.ready_usec - worker.stopped_usec)
}

/// Kills a worker. Returns how long it takes until the next one is ready.
fn replacement(cluster: &Cluster, instance: u32) -> Duration {
    let before = cluster.worker(instance);
    let process = Process::of(cluster, before.pid);
    let killed_usec = process.kill();
    process.until_others_execute(cluster, "worker", 4);
    let after = cluster.until_worker(instance, "to be replaced", |worker| {
        worker.is_ready() && worker.invocation != before.invocation
    });
    assert_ne!(after.pid, before.pid);
    Duration::from_micros(after.ready_usec - killed_usec)
}

fn median(mut sorted: Vec<Duration>) -> Duration {
    sorted.sort();
    sorted[sorted.len() / 2]
}

fn and_only_requests_in_flight_on_it_fail(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for instance in victims() {
        let mut load = cluster.load(Mode::WithGaps);
        load.until_more(500);
        let before = cluster.worker(instance);
        let held = cluster.connections_of(before.pid);

        Process::of(&cluster, before.pid).kill();

        cluster.until_worker(instance, "to be replaced", |worker| {
            worker.is_ready() && worker.invocation != before.invocation
        });
        load.until_more(500);
        assert_only_cut(&load.stop(), before.pid, held);
    }
    cluster.assert_socket_is_whole();
}

/// The workers to kill: each of the four in turn.
fn victims() -> impl Iterator<Item = u32> {
    (1..=4).cycle().take(ci_or_full(8, 20))
}
