//! `journalctl -u app-cluster` and `journalctl -u 'worker@*'` explain a rollout and a crash, in plain
//! sentences with fields.

use promises::{Cluster, DEADLINE, Entry, Process, Suite, monotonic_usec, wait_for};

promises::in_every_suite!(of_a_rollout, of_a_crash, of_a_rollout_that_fails);

const ROLLOUT: &str = "APP_CLUSTER_ROLLOUT";
const WORKER: &str = "APP_CLUSTER_WORKER";
const STEP: &str = "APP_CLUSTER_STEP";
const RESULT: &str = "APP_CLUSTER_RESULT";

// The catalog entry for a finished rollout.
const ROLLOUT_DONE: &str = "e77c30205347a9fcd29676898e60589b";
const ROLLOUT_FAILED: &str = "0477392c036be6d71ce8abadf0f2e413";

fn of_a_rollout(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.until_at_rest();
    let begin = monotonic_usec();
    cluster.reload();

    let orchestrator = cluster.logged(&["app-cluster"], begin);
    let rollout = cluster.status().rollout.pop().expect("there was a rollout").id.to_string();
    assert_one(&orchestrator, &[(ROLLOUT, &rollout), (STEP, "begin")], "4 workers");
    for worker in (1..=4).map(|instance| format!("worker@{instance}")) {
        for step in ["restart", "done"] {
            assert_one(&orchestrator, &[(ROLLOUT, &rollout), (WORKER, &worker), (STEP, step)], &worker);
        }
    }
    for (step, words) in [
        ("start", "beyond the wanted number"),
        ("done", "serves while others are replaced"),
        ("stop", "not needed any more"),
    ] {
        assert_one(&orchestrator, &[(ROLLOUT, &rollout), (WORKER, "worker@5"), (STEP, step)], words);
    }
    let end = [(ROLLOUT, rollout.as_str()), (STEP, "end"), (RESULT, "done")];
    let end = assert_one(&orchestrator, &end, "4 of 4 replaced");
    assert_eq!(end.field("MESSAGE_ID"), ROLLOUT_DONE);
    let explained = cluster.journal(["--catalog", "-u", "app-cluster"]);
    assert!(explained.contains(&format!("Subject: Rollout {rollout} is done")), "{explained}");

    let workers = cluster.logged(&["worker@*"], begin);
    for words in ["draining", "drained", "starting worker 1", "ready, accepting connections"] {
        assert!(workers.iter().any(|entry| entry.message().contains(words)), "no worker logs {words:?}");
    }
    let warnings: Vec<_> = orchestrator.iter().chain(&workers).filter(|entry| entry.is_warning()).collect();
    assert!(warnings.is_empty(), "a rollout without a fault logs warnings: {warnings:#?}");
    assert_readable(&cluster, begin);
}

fn of_a_crash(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.until_at_rest();
    let begin = monotonic_usec();
    Process::of(&cluster, cluster.pids()[&2]).kill();
    let after = cluster.until_worker(2, "to be replaced", |worker| worker.is_ready() && worker.restarts == 1);

    let found = wait_for("the messages about the crash", DEADLINE, || {
        let entries = cluster.logged(&["app-cluster"], begin);
        let is_told = |entry: &Entry| entry.message().contains(&format!("pid {}", after.pid));
        if entries.iter().any(is_told) { Ok(entries) } else { Err(messages(&entries)) }
    });
    let crash = assert_one(&found, &[(WORKER, "worker@2"), (STEP, "crash")], "SIGKILL");
    assert!(crash.is_warning(), "a crash is not logged as a warning: {crash:?}");
    assert!(!crash.field(RESULT).is_empty(), "{crash:?}");
    assert_one(&found, &[(WORKER, "worker@2"), (STEP, "ready")], "worker@2 is ready");
    for lie in ["stopped by an operator", "is not started again"] {
        assert!(
            !messages(&found).contains(lie),
            "no operator stopped it, and it runs:\n{}",
            messages(&found)
        );
    }

    let unit = messages(&cluster.logged(&["worker@*"], begin));
    assert!(unit.contains("status=9/KILL"), "{unit}");
    assert_readable(&cluster, begin);
}

fn of_a_rollout_that_fails(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@.service", "Service", "Environment=APP_CLUSTER_FAULT_START=fail");
    cluster.until_at_rest();
    let begin = monotonic_usec();
    cluster.try_reload().assert_failure();

    let found = cluster.logged(&["app-cluster"], begin);
    let end = assert_one(&found, &[(STEP, "end"), (RESULT, "restored")], "worker@5.service");
    assert_eq!(end.field("MESSAGE_ID"), ROLLOUT_FAILED);
    assert_eq!(end.field(WORKER), "worker@5");
    assert!(end.is_warning());
    assert!(!end.field(ROLLOUT).is_empty());
    // The worker's own message, in the journals of both units.
    assert!(end.message().contains("APP_CLUSTER_FAULT_START=fail"), "{}", end.message());
    let workers = cluster.logged(&["worker@*"], begin);
    let own = workers.iter().find(|entry| entry.message().contains("failed to start"));
    assert!(own.is_some_and(Entry::is_warning), "{workers:#?}");
    assert_readable(&cluster, begin);
}

/// Asserts that exactly one entry has these fields, and that its message contains these words.
#[track_caller]
fn assert_one<'a>(entries: &'a [Entry], fields: &[(&str, &str)], words: &str) -> &'a Entry {
    let has = |entry: &&Entry| fields.iter().all(|(name, value)| entry.field(name) == *value);
    let found: Vec<_> = entries.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "entries with {fields:?}, of:\n{entries:#?}");
    assert!(found[0].message().contains(words), "it does not say {words:?}: {}", found[0].message());
    found[0]
}

/// Operators see text without fields: no entry may be a blob or empty.
#[track_caller]
fn assert_readable(cluster: &Cluster, begin: u64) {
    for entry in cluster.logged(&["app-cluster", "worker@*"], begin) {
        assert!(!entry.message().trim().is_empty(), "{entry:?}");
        assert!(!entry.message().contains('\u{1b}'), "colours are for terminals: {entry:?}");
    }
}

fn messages(entries: &[Entry]) -> String {
    entries.iter().map(Entry::message).collect::<Vec<_>>().join("\n")
}
