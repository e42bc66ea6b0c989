//! Connections are shared evenly among the workers. No client waits for a worker that is dead, stalled or
//! draining.

use std::time::Duration;

use promises::{Cluster, Mode, Process, Report, Suite, Wire, Worker, ci_or_full};

promises::in_one_suite!(
    bookworm:
    a_burst_is_shared_evenly,
    one_after_the_other_goes_round,
    a_newcomer_does_not_get_the_whole_herd,
    a_killed_worker_holds_nobody_back,
    a_stalled_worker_holds_nobody_back,
    a_draining_worker_holds_nobody_back,
);

/// How many more connections of a burst the busiest worker may have than the least busy one.
const DIFFERENCE: u64 = 2;
/// From the moment a client should connect until it has the response. The wait for accept(2) is the largest
/// part of it. The other parts make the promise harder to keep.
const LONGEST: Duration = Duration::from_millis(100);
/// How many attempts there are. Other programs that need the CPU can make a spread uneven and a wait longer,
/// but never the opposite.
const ROUNDS: usize = 12;

fn a_burst_is_shared_evenly(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for connections in [64, 200] {
        one_round_is(
            |spread: &Vec<u64>| spread[3] - spread[0] <= DIFFERENCE,
            || {
                let spread = spread(&cluster, Mode::Burst(connections));
                println!("{suite}: a burst of {connections}: {spread:?}");
                spread
            },
        );
    }
    cluster.assert_socket_is_whole();
}

fn one_after_the_other_goes_round(suite: Suite) {
    let cluster = Cluster::installed(suite);
    one_round_is(
        |spread: &Vec<u64>| spread[3] * 4 * 100 <= 1000 * 105,
        || {
            let spread = spread(&cluster, Mode::Series);
            println!("{suite}: one after the other: {spread:?}, max/mean {:.3}", spread[3] as f64 / 250.0);
            spread
        },
    );
}

/// The siblings have fifty idle connections each, and a worker that has just started has none.
fn a_newcomer_does_not_get_the_whole_herd(suite: Suite) {
    const IDLE: usize = 200;
    const HERD: u64 = 64;
    /// The new worker's part, and the most that it may count as behind (`ARREARS` in the library).
    const MOST: u64 = HERD / 4 + 8;
    let cluster = Cluster::installed(suite);
    let mut idle: Vec<_> = (0..IDLE).map(|_| Wire::open(&cluster).expect("connected")).collect();
    idle.iter_mut().for_each(|wire| assert_eq!(wire.get("/").expect("answered").status, 200));
    one_round_is(
        |share: &u64| *share <= MOST + DIFFERENCE,
        || {
            let before = cluster.worker(1);
            Process::of(&cluster, before.pid).kill();
            let newcomer = cluster
                .until_worker(1, "to be replaced", |worker| worker.is_ready() && worker.pid != before.pid);
            let report = cluster.load_unanswered(Mode::Burst(HERD)).end();
            assert!(report.is_clean() && report.ok == HERD, "{report}");
            let share = report.answers.iter().find(|answers| answers.pid == newcomer.pid);
            let share = share.map_or(0, |answers| answers.count);
            println!("{suite}: of {HERD} the new worker got {share}");
            share
        },
    );
    drop(idle);
}

fn a_killed_worker_holds_nobody_back(suite: Suite) {
    let cluster = Cluster::installed(suite);
    nobody_waits(suite, &cluster, "killed", |victim| {
        Process::of(&cluster, victim.pid).kill();
    });
}

fn a_stalled_worker_holds_nobody_back(suite: Suite) {
    let cluster = Cluster::installed(suite);
    // This is longer than the rest of the series: the stalled worker exists during all of it.
    cluster.edit("worker@.service", "Service", "WatchdogSec=3s");
    cluster.reload();
    nobody_waits(suite, &cluster, "stalled", |victim| {
        let unit = format!("worker@{}", victim.instance);
        cluster.systemctl(["kill", "--signal=SIGSTOP", &unit]).assert_success();
    });
}

fn a_draining_worker_holds_nobody_back(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let lost = nobody_waits(suite, &cluster, "draining", |victim| {
        let unit = format!("worker@{}", victim.instance);
        cluster.systemctl(["restart", "--no-block", &unit]).assert_success();
    });
    assert_eq!(lost, 0, "a drain lost a request");
}

/// How many of these connections each of the four workers gets, sorted.
#[track_caller]
fn spread(cluster: &Cluster, mode: Mode) -> Vec<u64> {
    let report = cluster.load_unanswered(mode).end();
    assert!(report.is_clean() && report.ok == mode.connections(), "{report}");
    assert!(report.answers.len() <= 4, "{report}");
    let mut spread: Vec<_> = report.answers.iter().map(|answers| answers.count).collect();
    spread.resize(4, 0);
    spread.sort_unstable();
    spread
}

/// Does something to one worker while connections arrive one after another. No client may wait for that
/// worker. Returns how many connections were lost that it had accepted and not answered.
#[track_caller]
fn nobody_waits(suite: Suite, cluster: &Cluster, what: &str, happens: impl Fn(&Worker)) -> u64 {
    let mut lost = 0;
    for instance in (1..=4).take(ci_or_full(1, 4)) {
        one_round_is(
            |report: &Report| longest(report) <= LONGEST,
            || {
                let report = series_in_which(cluster, instance, &happens);
                let (longest, ended) = (longest(&report), report.failed());
                println!("{suite}: worker {instance} is {what}: the longest after {longest:?}, {ended} lost");
                lost += ended;
                report
            },
        );
    }
    cluster.assert_socket_is_whole();
    lost
}

/// A series of connections. In the middle of it something happens to a worker.
#[track_caller]
fn series_in_which(cluster: &Cluster, instance: u32, happens: impl Fn(&Worker)) -> Report {
    let before = cluster.worker(instance);
    let mut series = cluster.load(Mode::Series);
    series.until(300);
    happens(&before);
    let report = series.end();
    cluster.until_worker(instance, "to be replaced", |worker| worker.is_ready() && worker.pid != before.pid);
    assert_only_in_flight(&report);
    report
}

fn longest(report: &Report) -> Duration {
    Duration::from_micros(report.latency.max_us)
}

/// At five hundred connections per second hardly any is in flight. A client that waited until its timeout
/// does not count as one.
#[track_caller]
fn assert_only_in_flight(report: &Report) {
    let in_flight = report.cut();
    assert_eq!(report.failed(), in_flight, "{report}");
    assert!(in_flight <= 5, "more than were in flight:\n{report}");
    assert_eq!(report.ok + in_flight, Mode::Series.connections(), "{report}");
}

/// One of several rounds meets the promise.
#[track_caller]
fn one_round_is<T: std::fmt::Debug>(promised: impl Fn(&T) -> bool, mut round: impl FnMut() -> T) {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let round = round();
        if promised(&round) {
            return;
        }
        seen.push(round);
    }
    panic!("none of {ROUNDS} rounds met the promise: {seen:?}");
}
