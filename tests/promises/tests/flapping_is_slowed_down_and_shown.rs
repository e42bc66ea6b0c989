//! A worker that keeps crashing gets pauses, is shown as flapping, and recovers by itself. If most workers
//! flap after a rollout, the release is undone.

use std::time::{Duration, SystemTime};

use promises::{
    Cluster, DEADLINE, Entry, Flaw, GOOD, Mode, Package, Report, Suite, monotonic_usec, pass, wait_for,
};

promises::in_every_suite!(
    of_some_workers,
    however_late_it_is_heard_of,
    and_who_fails_while_it_is_stopped_is_tried_again,
    and_who_is_paused_is_not_forgotten_by_a_successor,
    and_a_release_after_which_most_flap_is_undone,
);

// The catalog entry for a flapping worker.
const WORKER_FLAPS: &str = "7c6739e89ea0385e6c22f32039996c01";
const ROLLOUT_UNDONE: &str = "66eaa9297bdedf11dea4335506b60a47";

/// One worker is ready for a moment each time, the other never.
const CRASHES: [(u32, &str); 2] = [
    (2, "Environment=APP_CLUSTER_FAULT_START=crash-after=100ms"),
    (3, "Environment=APP_CLUSTER_FAULT_START=fail"),
];

fn of_some_workers(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[backoff]\nfirst = \"1s\"\nmax = \"2s\"\nstable = \"3s\"\n");
    cluster.reload();
    let mut load = cluster.load(Mode::Calm);
    let mut others = cluster.pids();
    others.retain(|instance, _| CRASHES.iter().all(|(crashes, _)| instance != crashes));
    for (instance, crash) in CRASHES {
        cluster.edit(&format!("worker@{instance}.service"), "Service", crash);
    }
    let begin = monotonic_usec();
    // It succeeds if both are ready at once for a moment.
    let _ = cluster.systemctl(["restart", "worker@2", "worker@3"]);
    for (instance, _) in CRASHES {
        until_flapping(&cluster, instance);
    }

    // Without pauses each would start at least seven times per second. systemd never counts a start of the
    // second as complete. The first is tried at most five times. Before the orchestrator sees its end,
    // systemd may start it once or twice more.
    let account = cluster.open_account();
    pass(Duration::from_secs(8));
    let starts = cluster.close_account(account).starts();
    println!("{suite}: {starts} starts in 8 s of flapping");
    assert!((2..=15).contains(&starts), "{starts} starts in 8 s");
    load.until_more(500);
    let told = CRASHES.map(|(instance, _)| {
        // The first burst is logged as far as it is seen, then nothing more.
        let told = about_worker(&cluster, instance, begin);
        let at = told.iter().position(|entry| entry.field("MESSAGE_ID") == WORKER_FLAPS);
        assert_eq!(
            at,
            told.len().checked_sub(1),
            "there is a message after the one that it flaps: {told:#?}"
        );
        assert!(told.len() <= 8, "{told:#?}");
        told.len()
    });

    for (instance, _) in CRASHES {
        cluster.revert(&format!("worker@{instance}.service"));
    }
    let after = cluster.until_whole();
    assert!(others.iter().all(|(instance, pid)| after[instance] == *pid), "{others:?}, then {after:?}");
    for ((instance, _), before) in CRASHES.into_iter().zip(told) {
        wait_for("the worker to be stable", DEADLINE, || {
            let told = about_worker(&cluster, instance, begin);
            let last = told.last().map(|entry| entry.message().to_owned()).unwrap_or_default();
            if last.contains("is stable again") { Ok(()) } else { Err(last) }
        });
        assert_eq!(
            about_worker(&cluster, instance, begin).len(),
            before + 1,
            "the message appears more than once"
        );
    }
    assert_eq!(cluster.status().summary, format!("4 of 4 ready, release {}", Package::New.version()));
    assert_only_its_own(&load.stop(), others.values());
    cluster.assert_socket_is_whole();
}

/// All ways to look show the flapping, with the time of the next attempt.
fn until_flapping(cluster: &Cluster, instance: u32) {
    wait_for("a worker that flaps", DEADLINE, || {
        let status = cluster.status();
        let worker = status.workers.iter().find(|worker| worker.instance == instance);
        match worker {
            Some(worker) if worker.state == api::WorkerState::Flapping && worker.next_try_usec != 0 => Ok(()),
            worker => Err(format!("{worker:?}")),
        }
    });
    wait_for("the text for it", DEADLINE, || {
        let shown = cluster.app_cluster(["status"]);
        let words = [" flapping, release ", "flapping, next try in"];
        if words.iter().all(|words| shown.text().contains(words)) { Ok(()) } else { Err(shown) }
    });
}

#[track_caller]
fn about_worker(cluster: &Cluster, instance: u32, begin: u64) -> Vec<Entry> {
    let mut told = cluster.logged(&["app-cluster"], begin);
    told.retain(|entry| entry.field("APP_CLUSTER_WORKER") == format!("worker@{instance}"));
    told
}

/// Asserts that only requests in flight on the crashed worker were lost.
#[track_caller]
fn assert_only_its_own<'a>(report: &Report, others: impl Iterator<Item = &'a u32>) {
    assert_eq!(report.failed(), report.cut(), "requests were lost that were not in flight:\n{report}");
    let others: Vec<_> = others.copied().collect();
    let of_another =
        report.examples.iter().find(|lost| lost.last_pid.is_some_and(|pid| others.contains(&pid)));
    assert_eq!(of_another, None, "a request of another worker was lost:\n{report}");
}

/// The pause has begun. A late event from before it must neither end the pause nor extend it.
fn however_late_it_is_heard_of(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[backoff]\nfirst = \"10min\"\nmax = \"1h\"\n");
    cluster.reload();
    let load = cluster.load(Mode::Calm);
    let before = cluster.pids();
    cluster.edit("worker@2.service", "Service", "Environment=APP_CLUSTER_FAULT_START=crash-after=10ms");
    let signal = |signal: &str| {
        cluster.systemctl(["kill", "--signal", signal, "app-cluster.service"]).assert_success();
    };

    signal("STOP");
    let _ = cluster.systemctl(["restart", "worker@2"]);
    cluster.until_worker(2, "to have crashed often", |worker| worker.restarts >= 12);
    signal("CONT");

    cluster.until_worker(2, "to be stopped", |worker| matches!(&*worker.active, "inactive" | "failed"));
    until_flapping(&cluster, 2);
    let next_try = cluster.status().workers[1].next_try_usec;
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is right");
    let pause = Duration::from_micros(next_try).saturating_sub(now);
    assert!(pause <= Duration::from_mins(12), "the first pause is one of {pause:?}");
    cluster.revert("worker@2.service");
    cluster.reload();
    assert_only_its_own(&load.stop(), [1, 3, 4].iter().map(|instance| &before[instance]));
    cluster.assert_socket_is_whole();
}

/// Such a unit is failed, not inactive, like the units that systemd has given up.
fn and_who_fails_while_it_is_stopped_is_tried_again(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[backoff]\nfirst = \"5s\"\n");
    cluster.reload();
    let load = cluster.load(Mode::Calm);
    let begin = monotonic_usec();
    cluster.systemctl(["stop", "worker@2"]).assert_success();
    // It ignores a stop.
    let deaf = "KillSignal=SIGCONT\nExecStart=\nExecStart=sh -c 'sleep 0.3; exit 1'";
    cluster.edit("worker@2.service", "Service", deaf);
    cluster.systemctl(["start", "worker@2"]).assert_failure();

    cluster.until_worker(2, "to have failed", |worker| worker.active == "failed");
    until_flapping(&cluster, 2);
    cluster.revert("worker@2.service");

    cluster.until_whole();
    let told = about_worker(&cluster, 2, begin);
    let is_given_up = |entry: &Entry| entry.message().contains("is not started again");
    assert!(!told.iter().any(is_given_up), "{told:#?}");
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn and_who_is_paused_is_not_forgotten_by_a_successor(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[backoff]\nfirst = \"10min\"\nmax = \"10min\"\n");
    cluster.reload();
    let load = cluster.load(Mode::Calm);
    cluster.edit("worker@2.service", "Service", "Environment=APP_CLUSTER_FAULT_START=fail");
    cluster.systemctl(["restart", "worker@2"]).assert_failure();
    until_flapping(&cluster, 2);
    cluster.until_worker(2, "to be stopped", |worker| worker.active == "inactive");
    cluster.revert("worker@2.service");

    cluster.kill_orchestrator();

    cluster.until_whole();
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn and_a_release_after_which_most_flap_is_undone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure(
        "workers = 4\n[rollout]\nsettle = \"200ms\"\nwatch = \"10min\"\n\
         [backoff]\nfirst = \"1s\"\nmax = \"2s\"\nstable = \"3s\"\n",
    );
    let program = format!(
        "#!/bin/sh\n[ ! -e /srv/broken ] || {{ echo '{}' >&2; exit 1; }}\nexec {GOOD}\n",
        Flaw::REASON
    );
    cluster.write_program("/srv/late", &program);
    cluster.deploy("/srv/late", "late").assert_success();
    let load = cluster.load(Mode::Calm);
    let begin = monotonic_usec();

    // Only later is the file gone that it needs.
    cluster.write_file("/srv/broken", "");
    cluster.systemctl(["restart", "worker@1", "worker@2", "worker@3"]).assert_failure();

    let undone = wait_for("the rollout to be undone", DEADLINE, || {
        let history = cluster.history();
        let undone = history[0].kind == api::Kind::Undo && history[0].state == api::EntryState::Done;
        if undone { Ok(history[0].clone()) } else { Err(format!("{:#?}", history[0])) }
    });
    let old = Package::New.version();
    assert_eq!((undone.from.as_str(), &undone.to), ("late", &old));
    cluster.until_whole();
    load.loses_nothing();
    assert!(cluster.releases().values().all(|release| *release == old), "{:?}", cluster.releases());
    cluster
        .app_cluster(["status"])
        .assert_success()
        .assert_says("undo by app-cluster")
        .assert_says("4 of 4 ready");
    let told = cluster.logged(&["app-cluster"], begin);
    assert_eq!(told.iter().filter(|entry| entry.field("MESSAGE_ID") == ROLLOUT_UNDONE).count(), 1);
    assert!(cluster.known_releases().iter().any(|release| release.id == "late" && release.is_rejected));

    // The release stays undone.
    cluster.reload();
    assert_eq!(cluster.status().release, old);
}
