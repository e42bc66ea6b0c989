//! A bad release is undone, whatever is wrong with it. The old release runs everywhere again. The operator
//! who deployed it learns which worker failed, how, and what its last message was.

use std::collections::BTreeMap;

use promises::{
    Cluster, DEADLINE, Flaw, GOOD, Mode, Output, Package, Report, Suite, monotonic_usec, wait_for,
};

promises::in_every_suite!(
    whatever_is_wrong_with_it,
    and_what_it_has_to_say_to_systemd_is_named,
    when_it_fails_on_the_second_worker,
    also_one_that_accepts_nothing,
);

/// The catalog entry for a failed rollout.
const ROLLOUT_FAILED: &str = "0477392c036be6d71ce8abadf0f2e413";

/// The flaw, the description of the worker's end, and its last message.
const CASES: [(Flaw, &str, &str); 4] = [
    (Flaw::FailsBeforeReady, "failed before it was ready: it exited with status 1", Flaw::REASON),
    (Flaw::HangsBeforeReady, "did not say READY=1 in time", "this worker will never be ready"),
    (Flaw::DiesAfterReady, "was killed by SIGABRT", "ready, accepting connections"),
    (Flaw::StallsAfterReady, "missed its watchdog", Flaw::REASON),
];

fn whatever_is_wrong_with_it(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n");
    cluster.edit("worker@.service", "Service", "TimeoutStartSec=3s\nWatchdogSec=3s");
    cluster.reload();
    let before = cluster.pids();

    for (flaw, how, last_words) in CASES {
        let program = format!("/srv/{flaw:?}");
        cluster.write_program(&program, &flaw.program(GOOD));
        let load = cluster.load(Mode::Calm);
        let begin = monotonic_usec();

        let deploy = cluster.deploy(&program, &format!("{flaw:?}"));

        deploy.assert_exit_code(2);
        assert_told(&cluster, &deploy, begin, &["worker@5.service", how, last_words]);
        assert_in_time(&cluster, suite, flaw);
        assert_undone(&cluster, &format!("{flaw:?}"));
        assert_eq!(cluster.pids(), before, "{flaw:?} touched a worker");
        assert_lost_at_most_its_own(&load.stop(), flaw);
    }
    cluster.assert_socket_is_whole();
}

/// A common first attempt with a program that was not made for app-cluster.
fn and_what_it_has_to_say_to_systemd_is_named(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "TimeoutStartSec=6s\nWatchdogSec=3s");
    cluster.reload();
    let of_nothing = "on descriptor 3, not on a port of its own, and then its main process says READY=1";
    let of_a_child = match suite {
        Suite::Bookworm => {
            "systemd hears the main process only: a script has to start the program with `exec`"
        }
        // This version of systemd does not report ignored messages.
        Suite::Trixie => of_nothing,
    };
    for (name, script, words) in [
        ("port", "exec sleep 100".to_owned(), of_nothing),
        ("child", "systemd-notify --ready\nsleep 100".to_owned(), of_a_child),
        (
            "watchdog",
            format!("unset WATCHDOG_USEC\nexec {GOOD}"),
            "one that does not know the watchdog needs WatchdogSec=0",
        ),
    ] {
        let program = format!("/srv/{name}");
        cluster.write_program(&program, &format!("#!/bin/sh\n{script}\n"));
        let deploy = cluster.deploy(&program, name);
        deploy.assert_exit_code(2).assert_says(words).assert_says("app-cluster-worker(7)");
        if words == of_nothing {
            // An operator who watches learns what is missing before the end.
            deploy.assert_says("worker@5 (extra): started, waiting for READY=1");
        }
        assert_undone(&cluster, name);
    }
    cluster.assert_socket_is_whole();
}

/// The same text must be on the terminal of the operator, in the journal, and where operators look.
#[track_caller]
fn assert_told(cluster: &Cluster, deploy: &Output, begin: u64, words: &[&str]) {
    let told = cluster.logged(&["app-cluster"], begin);
    let failed: Vec<_> = told.iter().filter(|entry| entry.field("MESSAGE_ID") == ROLLOUT_FAILED).collect();
    let [failed] = failed[..] else { panic!("expected one entry with the MESSAGE_ID: {told:#?}") };
    assert_eq!(failed.field("APP_CLUSTER_RESULT"), "restored");
    let status = cluster.app_cluster(["status"]);
    for words in words {
        assert!(deploy.stderr().contains(words), "the terminal does not say {words:?}\n{deploy}");
        assert!(failed.message().contains(words), "the journal does not say {words:?}: {}", failed.message());
        status.assert_says(words);
    }
}

/// The rollout ended before the timeout of a single step.
#[track_caller]
fn assert_in_time(cluster: &Cluster, suite: Suite, flaw: Flaw) {
    let rollout = cluster.status().rollout.pop().expect("there was a rollout");
    let entry = cluster.history().swap_remove(0);
    let took = entry.ended_usec - entry.begun_usec;
    println!("{suite}: {flaw:?} was undone after {} ms", took / 1000);
    assert_eq!((entry.rollout, entry.state), (rollout.id, api::EntryState::Restored));
    assert!(took <= rollout.step_timeout_usec, "it took {took} µs: {rollout:#?}");
}

/// The old release is current and every worker runs it. The bad one is marked as bad.
#[track_caller]
fn assert_undone(cluster: &Cluster, bad: &str) {
    let old = Package::New.version();
    cluster.until_whole();
    let status = cluster.status();
    assert_eq!(status.release, old);
    assert_eq!(status.workers.len(), 4, "the extra worker is still there: {:#?}", status.workers);
    assert!(status.workers.iter().all(|worker| worker.release == old), "{:#?}", status.workers);
    let link = cluster.run(["readlink", "/var/lib/app-cluster/current"]);
    assert_eq!(link.stdout(), format!("releases/{old}"));
    let marked = |release: &api::Release| (release.is_current, release.is_rejected, release.workers);
    let known: BTreeMap<_, _> =
        cluster.known_releases().iter().map(|release| (release.id.clone(), marked(release))).collect();
    assert_eq!((known[&old], known[bad]), ((true, false, 4), (false, true, 0)));
}

/// Only a worker that was killed while it served lost requests.
#[track_caller]
fn assert_lost_at_most_its_own(report: &Report, flaw: Flaw) {
    if flaw != Flaw::DiesAfterReady {
        assert!(report.is_clean(), "{flaw:?}\n{report}");
    }
    assert_eq!(report.failed(), report.cut(), "requests were lost that were not in flight:\n{report}");
    assert!(report.cut() <= Mode::Calm.connections(), "{report}");
}

fn when_it_fails_on_the_second_worker(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.write_program("/srv/bad", &Flaw::FailsAsTheSecond.program(GOOD));
    let load = cluster.load(Mode::Calm);
    let before = cluster.pids();
    let words = ["worker@2.service", "failed before it was ready", Flaw::REASON];

    let (account, begin) = (cluster.open_account(), monotonic_usec());
    let deploy = cluster.deploy("/srv/bad", "bad-1");
    let account = cluster.close_account(account);
    deploy.assert_exit_code(2);
    assert_told(&cluster, &deploy, begin, &words);
    assert_undone(&cluster, "bad-1");
    let after = cluster.pids();
    let is_touched = |instance: u32| after[&instance] != before[&instance];
    assert_eq!([1, 2, 3, 4].map(is_touched), [true, true, false, false], "{before:?}, then {after:?}");
    assert_eq!(account.fewest_ready(), 4, "{account:#?}");
    // The extra worker and worker@1 start with the new release, then worker@2 and worker@1 with the old one.
    // But systemd restarts worker@2 as soon as it has failed. So it may start worker@2 before the
    // orchestrator does, with either release.
    assert_eq!([1, 3, 4, 5].map(|instance| account.starts_of(instance)), [2, 0, 0, 1], "{account:#?}");
    assert!((1..=2).contains(&account.starts_of(2)), "{account:#?}");

    cluster.configure("workers = 4\n[rollout]\nsettle = \"200ms\"\non_failure = \"halt\"\n");
    let account = cluster.open_account();
    let deploy = cluster.deploy("/srv/bad", "bad-2");
    deploy.assert_exit_code(3);
    for words in words {
        assert!(deploy.stderr().contains(words), "{words:?}\n{deploy}");
    }
    let status = cluster.status();
    let runs =
        |instance: u32| status.workers.iter().find(|w| w.instance == instance).map(|w| w.release.clone());
    let old = Package::New.version();
    assert_eq!([1, 3, 4].map(runs), [Some("bad-2".to_owned()), Some(old.clone()), Some(old)]);
    cluster.app_cluster(["status"]).assert_says("failed").assert_says("worker@2.service");
    assert_eq!(
        cluster.close_account(account).fewest_ready(),
        4,
        "the extra worker was stopped while worker@2 was missing"
    );

    cluster.app_cluster(["rollback"]).assert_success();
    assert_undone(&cluster, "bad-1");
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// The rollout ends well, because its workers say READY=1. Then the watch sees that clients wait in vain.
fn also_one_that_accepts_nothing(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.write_program("/srv/deaf", &Flaw::AcceptsNothing.program(GOOD));
    let load = cluster.load(Mode::Patient);
    let begin = monotonic_usec();
    cluster.deploy("/srv/deaf", "deaf").assert_exit_code(0);

    let old = Package::New.version();
    wait_for("the release to be undone", DEADLINE, || {
        let status = cluster.status();
        let is_back = status.release == old && status.ready == 4;
        if is_back { Ok(()) } else { Err(status.summary) }
    });
    cluster.until_at_rest();
    assert_undone(&cluster, "deaf");
    println!("{suite}: it was undone after {} ms", (monotonic_usec() - begin) / 1000);
    let words = "nobody accepts connections, although all workers are ready";
    cluster.app_cluster(["status"]).assert_says(words);
    let told = cluster.logged(&["app-cluster"], begin);
    assert!(told.iter().any(|entry| entry.message().contains(words)), "{told:#?}");
    // The clients that waited in the queue of the shared socket were answered by the old release.
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}
