//! `app-cluster status` shows the counters of each worker to every user, and they match the client's figures.
//! A worker that does not count, or writes nonsense to the scoreboard, is shown as such and disturbs no
//! other.

use std::collections::BTreeMap;

use api::Counters;
use promises::{Cluster, DEADLINE, Mode, Process, Report, Suite, Wire, wait_for};

promises::in_one_suite!(
    bookworm:
    under_load_it_is_what_the_client_counts,
    a_worker_that_drains_is_seen_to_do_so,
    after_a_kill_all_begins_anew,
    a_damaged_board_harms_nobody,
);

const BOARD: &str = "/run/app-cluster/scoreboard/board.v1";

/// The columns of the counters.
const TABLE: &str = "WORKER    CONNS  IN FLIGHT  REQUESTS";

fn under_load_it_is_what_the_client_counts(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.counters();
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(sum(&before, |counters| counters.requests), 0, "{before:#?}");

    let mut load = cluster.load(Mode::KeepAlive);
    until(&cluster, "as many open connections as the client has", |now| {
        sum(now, |counters| counters.connections) == Mode::KeepAlive.connections()
    });
    load.until(20_000);
    cluster.run_as("nobody", &["app-cluster", "status"]).assert_says(TABLE);
    let report = load.loses_nothing();

    let after = until(&cluster, "closed connections", |now| sum(now, |counters| counters.connections) == 0);
    for (instance, counters) in &after {
        let answered = answered_by(&report, *instance);
        assert!(answered > 0, "worker@{instance} had nothing to do:\n{report}");
        let Counters { requests, responses, .. } = *counters;
        assert_eq!((requests, responses.successful, responses.sum()), (answered, answered, answered));
        assert_eq!((counters.in_flight, counters.unanswered, counters.panics), (0, 0, 0), "{counters:?}");
        assert!(counters.received_bytes > answered && counters.sent_bytes > answered, "{counters:?}");
        let latency = counters.latency;
        let quantiles = [1, latency.p50_usec, latency.p90_usec, latency.p99_usec, latency.p999_usec];
        assert!(quantiles.is_sorted() && latency.sum_usec > 0, "{latency:?}");
    }
    assert_eq!(sum(&after, |counters| counters.requests), report.sent, "{report}");
    assert_eq!(sum(&after, |counters| counters.accepts), report.connections, "{report}");
}

fn a_worker_that_drains_is_seen_to_do_so(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut wires = cluster.wires_to_all();
    let (mut asks, mut sleeps) = (wires.remove(0), Wire::open(&cluster).expect("the cluster accepts"));
    let instance = asks.instance().expect("the worker answers");
    // The worker with the fewest connections gets the next one, so this worker's turn comes.
    wait_for("another connection to the same worker", DEADLINE, || {
        let other = sleeps.instance().map_err(|error| error.to_string())?;
        if other == instance {
            return Ok(());
        }
        wires.push(std::mem::replace(&mut sleeps, Wire::open(&cluster).map_err(|error| error.to_string())?));
        Err(format!("that was worker@{other}"))
    });
    sleeps.send("/sleep?ms=10000").expect("the worker reads");
    until(&cluster, "a request in flight", |now| now[&instance].in_flight == 1);
    cluster.systemctl(["restart", "--no-block", &format!("worker@{instance}")]).assert_success();
    let draining = until(&cluster, "a drain", |now| {
        now.get(&instance).is_some_and(|counters| counters.drain_begun_usec > 0)
    });
    assert!(draining[&instance].drain_begun_usec > draining[&instance].ready_since_usec, "{draining:#?}");
    assert_eq!(asks.get("/nowhere").expect("it lingers").status, 404);
    let told = until(&cluster, "the error to be counted", |now| {
        now.get(&instance).is_none_or(|counters| counters.responses.client_error == 1)
    });
    assert!(told.contains_key(&instance), "the worker ended before its last answer: {told:#?}");
    assert_eq!(sleeps.receive().expect("it is answered").status, 200);
}

fn after_a_kill_all_begins_anew(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut wire = Wire::open(&cluster).expect("the cluster accepts");
    let instance = wire.instance().expect("the worker answers");
    let slow = wire.get("/sleep?ms=300").expect("the worker answers");
    assert_eq!(slow.status, 200, "{slow:?}");
    let before = cluster.counters().remove(&instance).expect("it counts");
    assert_eq!((before.requests, before.responses.successful, before.connections), (2, 2, 1), "{before:?}");
    assert!(before.latency.p99_usec >= 300_000 && before.latency.p50_usec < 300_000, "{before:?}");

    // systemd leaves the worker dead until the test starts it.
    cluster.edit("worker@.service", "Service", "RestartSec=1h");
    Process::of(&cluster, before.pid).kill();
    until(&cluster, "one counting worker fewer", |now| now.len() == 3 && !now.contains_key(&instance));
    let name = format!("worker@{instance}  -      -          -         -");
    cluster.app_cluster(["status"]).assert_says(&name);

    cluster.revert("worker@.service");
    cluster.systemctl(["restart", &format!("worker@{instance}")]).assert_success();
    let now = until(&cluster, "one counting worker more", |now| now.len() == 4);
    let now = &now[&instance];
    assert!(now.pid != before.pid && now.since_usec > before.since_usec, "{before:?}, then {now:?}");
    assert_eq!((now.requests, now.accepts, now.latency), (0, 0, Default::default()), "{now:?}");
}

fn a_damaged_board_harms_nobody(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let orchestrator = cluster.orchestrator_pid();
    let load = cluster.load(Mode::Calm);

    // Every counter of the first worker gets the highest value.
    let ones = "head -c 4080 /dev/zero | tr '\\0' '\\377'";
    write(&cluster, &format!("{ones} | dd of={BOARD} bs=16 seek=2305 conv=notrunc"));
    let first = cluster.counters().remove(&1).expect("the worker still counts");
    assert_eq!((first.panics, first.responses.informational), (u64::MAX, u64::MAX));
    assert!(!first.release.contains(char::is_control), "{first:?}");
    // Damages to the whole file, and other things in its place.
    let damages = [
        "head -c 2134016 /dev/urandom | dd of=BOARD bs=4096 conv=notrunc",
        "head -c 2134016 /dev/zero | tr '\\0' '\\377' | dd of=BOARD bs=4096 conv=notrunc",
        "rm BOARD; head -c 2134016 /dev/zero >BOARD",
        "rm BOARD; echo >BOARD",
        "rm BOARD; mkfifo BOARD",
        "rm BOARD; mkdir BOARD",
        "rmdir BOARD; ln -s /etc/passwd BOARD",
    ];
    for damage in damages {
        write(&cluster, &damage.replace("BOARD", BOARD));
        assert_eq!(cluster.counters(), BTreeMap::new(), "{damage}");
        let status = cluster.run_as("nobody", &["app-cluster", "status"]);
        status.assert_success().assert_says("4 of 4 ready");
        assert!(!status.stdout().contains(TABLE), "{damage}: {status}");
    }
    // A worker that cannot count still serves. It counts again once it can.
    cluster.reload();
    assert_eq!(cluster.counters(), BTreeMap::new());
    write(&cluster, &format!("rm {BOARD}"));
    cluster.reload();
    assert_eq!(cluster.counters().len(), 4);
    load.loses_nothing();
    assert_eq!(cluster.orchestrator_pid(), orchestrator, "the orchestrator was restarted");
}

/// Changes the board as the workers' user.
#[track_caller]
fn write(cluster: &Cluster, script: &str) {
    cluster.run_as("app-cluster-worker", &["sh", "-ec", script]).assert_success();
}

#[track_caller]
fn until(
    cluster: &Cluster,
    what: &str,
    holds: impl Fn(&BTreeMap<u32, Counters>) -> bool,
) -> BTreeMap<u32, Counters> {
    wait_for(what, DEADLINE, || {
        let now = cluster.counters();
        if holds(&now) { Ok(now) } else { Err(format!("{now:#?}")) }
    })
}

fn sum(counters: &BTreeMap<u32, Counters>, of: impl Fn(&Counters) -> u64) -> u64 {
    counters.values().map(of).sum()
}

fn answered_by(report: &Report, instance: u32) -> u64 {
    let answers = report.answers.iter().filter(|answers| answers.instance == Some(instance));
    answers.map(|answers| answers.count).sum()
}
