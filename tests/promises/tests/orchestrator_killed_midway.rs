//! `kill -9` of the orchestrator at each step of a rollout and of the way back. Its successor continues by
//! itself, no worker stays stopped, no request is lost, and every waiting caller learns the result.

use promises::{Cluster, DEADLINE, Mode, Suite, ci_or_full, wait_for};

promises::in_every_suite!(
    a_rollout_is_brought_to_its_end,
    a_way_back_is_brought_to_its_end,
    a_reload_is_brought_to_its_end,
    again_and_again_at_any_moment,
);

/// Where it crashes on the way forward, and at which pass of that point. The extra worker is the first, the
/// workers 1 to 4 follow, and the stop of the extra worker is the last.
const FORWARD: [(&str, u32); 15] = [
    ("flipped", 1),
    ("before-restart", 1),
    ("restart-enqueued", 1),
    ("job-finished", 1),
    ("settling", 1),
    ("settled", 1),
    ("before-restart", 2),
    ("restart-enqueued", 3),
    ("job-finished", 4),
    ("settled", 5),
    ("before-stop", 1),
    ("stop-enqueued", 1),
    ("job-finished", 6),
    ("ending", 1),
    ("ended", 1),
];

/// Before the call is answered. The caller learns that it should try again, and the rollout continues all the
/// same.
const BEFORE_THE_ANSWER: [(&str, u32); 1] = [("begun", 1)];

/// On the way back from a release that fails on worker@3, when worker@5, worker@1 and worker@2 already run
/// it. The last two are put back. So is worker@3, if it has not recovered on the old release by itself.
const BACK: [(&str, u32); 13] = [
    ("job-finished", 4),
    ("turning", 1),
    ("turned", 1),
    ("before-restore", 1),
    ("restore-enqueued", 1),
    ("job-finished", 5),
    ("before-restore", 2),
    ("restore-enqueued", 2),
    ("job-finished", 6),
    ("before-stop", 1),
    ("stop-enqueued", 1),
    ("ending", 1),
    ("ended", 1),
];

fn a_rollout_is_brought_to_its_end(suite: Suite) {
    let cluster = mortal(suite);
    let load = cluster.load(Mode::WithGaps);
    let unanswered = BEFORE_THE_ANSWER.map(|moment| (moment, 75));
    let moments = unanswered.into_iter().chain(FORWARD.map(|moment| (moment, 0)));
    for (number, ((point, time), exit_code)) in moments.enumerate() {
        println!("{suite}: it crashes at {point} {time}");
        let release = format!("good-{number}");
        cluster.let_orchestrator_die_at(point, time);
        let deploy = cluster.app_cluster(["deploy", "/srv/good", "--id", &release]);
        deploy.assert_exit_code(exit_code);
        assert_converged(&cluster, &release, api::EntryState::Done);
    }
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn a_way_back_is_brought_to_its_end(suite: Suite) {
    let cluster = mortal(suite);
    cluster.app_cluster(["deploy", "/srv/good", "--id", "good"]).assert_exit_code(0);
    let load = cluster.load(Mode::WithGaps);
    for (number, (point, time)) in BACK.into_iter().enumerate() {
        println!("{suite}: it crashes at {point} {time}");
        cluster.let_orchestrator_die_at(point, time);
        let deploy = cluster.app_cluster(["deploy", "/srv/fails-on-3", "--id", &format!("bad-{number}")]);
        deploy.assert_exit_code(2).assert_says("worker@3");
        assert_converged(&cluster, "good", api::EntryState::Restored);
    }
    // The oldest of the releases that were given up are deleted, even if one lies in a lower layer of the
    // file system.
    let journal = cluster.journal(["-u", "app-cluster"]);
    assert!(!journal.contains("failed to tidy up"), "{journal}");
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

/// `systemctl reload` ends when the orchestrator crashes, because systemd starts another one only after that.
fn a_reload_is_brought_to_its_end(suite: Suite) {
    let cluster = mortal(suite);
    let load = cluster.load(Mode::WithGaps);
    for (point, time) in [("flipped", 1), ("restart-enqueued", 3)] {
        let before = cluster.pids();
        cluster.let_orchestrator_die_at(point, time);
        cluster.try_reload().assert_failure();
        assert_converged(&cluster, &promises::Package::New.version(), api::EntryState::Done);
        let after = cluster.pids();
        assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    }
    load.loses_nothing();
}

fn again_and_again_at_any_moment(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    for _ in 0..ci_or_full(5, 30) {
        cluster.begin_reload();
        cluster.kill_orchestrator();
        wait_for("another orchestrator", DEADLINE, || match cluster.orchestrator_pid() {
            0 => Err("none"),
            _ => Ok(()),
        });
    }
    cluster.until_at_rest();
    until_no_rollout(&cluster);
    let before = cluster.until_whole();
    cluster.reload();
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    load.loses_nothing();
}

/// A cluster whose orchestrator crashes where the test says so. There is a program to deploy that works, and
/// one that fails on worker@3.
fn mortal(suite: Suite) -> Cluster {
    let cluster = Cluster::installed(suite);
    cluster.replace_orchestrator_by_a_mortal_one();
    cluster.run(["cp", "/usr/lib/app-cluster/release/worker", "/srv/good"]).assert_success();
    let script = "#!/bin/sh\n\
         [ \"$APP_CLUSTER_INSTANCE\" != 3 ] || { echo 'not on this one' >&2; exit 1; }\n\
         exec /usr/lib/app-cluster/release/worker\n";
    cluster.write_file("/srv/fails-on-3", script);
    cluster
}

/// Asserts that the orchestrator has crashed, that another one runs, and that the rollout's result is
/// complete.
#[track_caller]
fn assert_converged(cluster: &Cluster, release: &str, state: api::EntryState) {
    assert!(!cluster.is_orchestrator_to_die(), "the orchestrator never passed that point");
    cluster.until_at_rest();
    until_no_rollout(cluster);
    cluster.until_whole();
    for (instance, now) in cluster.releases() {
        assert_eq!(now, release, "worker@{instance}");
    }
    let status = cluster.status();
    assert_eq!(status.release, release);
    let extra: Vec<_> = status.workers.iter().filter(|w| w.instance > 4 && w.pid != 0).collect();
    assert!(extra.is_empty(), "still there: {extra:?}");
    let history = cluster.history();
    assert_eq!(history[0].state, state, "{:?}", history[0]);
    assert!(history.iter().all(|entry| entry.ended_usec > 0), "a rollout has no end: {history:?}");
    let processes = cluster.run(["pgrep", "--full", "^/usr/libexec/app-cluster/orchestrator"]);
    assert_eq!(processes.stdout(), cluster.orchestrator_pid().to_string(), "{processes}");
}

#[track_caller]
fn until_no_rollout(cluster: &Cluster) {
    wait_for("the end of all rollouts", DEADLINE, || {
        let history = cluster.history();
        let open: Vec<_> = history.iter().filter(|entry| entry.ended_usec == 0).collect();
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
    });
}
