//! A release may become ready and then answer with errors, or slowly. If limits are set, the orchestrator
//! detects this from the counters of the extra worker, and rolls back. If it knows too little, it decides
//! nothing.

use std::collections::BTreeMap;

use promises::{Cluster, Entry, Failure, Flaw, GOOD, Mode, Package, Report, Suite, monotonic_usec};

promises::in_one_suite!(trixie: while_it_settles, unless_too_little_is_known);

/// The finding about the worker, under a hundred requests per second.
const CASES: [(Flaw, &str, &str); 2] = [
    (Flaw::AnswersWithErrors, "max_error_ratio = 0.05", "requests with 5xx, the old workers 0.0 %"),
    (Flaw::AnswersSlowly, "max_latency_ratio = 3.0", "ms for 99 of 100 requests, the old workers "),
];

/// The orchestrator's message about a worker that it could not judge.
const NOT_COMPARED: &str = "was not compared with the old workers";

fn while_it_settles(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Patient);
    let before = cluster.pids();
    let begin = monotonic_usec();

    for (flaw, limit, words) in CASES {
        configure(&cluster, limit);
        let program = format!("/srv/{flaw:?}");
        cluster.write_program(&program, &flaw.program(GOOD));
        let id = format!("{flaw:?}");
        let deploy = cluster.deploy(&program, &id);
        deploy.assert_exit_code(2).assert_says("worker@5.service").assert_says(words);
        cluster.app_cluster(["status"]).assert_says("worker@5.service").assert_says(words);
        assert!(cluster.journal(["-u", "app-cluster"]).contains(words), "the journal does not say {words:?}");
        assert!(cluster.history()[0].failure.contains(words), "{:?}", cluster.history()[0]);
        assert_undone(&cluster, &id, &before);
    }

    // The limits do not stop a release that behaves like the old one.
    configure(&cluster, "max_error_ratio = 0.05");
    cluster.deploy(GOOD, "good").assert_success();
    assert_eq!(told(&cluster, begin), Vec::<String>::new(), "the comparison had all the data");
    assert_only_errors_of_its_own(&load.stop());
    cluster.assert_socket_is_whole();
}

fn unless_too_little_is_known(suite: Suite) {
    let cluster = Cluster::installed(suite);
    configure(&cluster, "max_error_ratio = 0.05");
    cluster.write_program("/srv/bad", &Flaw::AnswersWithErrors.program(GOOD));

    // Without any requests the rollout works as without limits, and the orchestrator says so once.
    let begin = monotonic_usec();
    cluster.deploy("/srv/bad", "bad").assert_success();
    let told = told(&cluster, begin);
    let [told] = &told[..] else { panic!("expected the message once: {told:#?}") };
    assert!(told.starts_with("worker@5 ") && told.contains("rollout.min_requests"), "{told}");

    // Compared with failing workers, a sound one is good. So the limits do not stop a rollback.
    let load = cluster.load(Mode::Patient);
    configure(&cluster, "max_error_ratio = 0.05\nmax_latency_ratio = 1.0");
    cluster.app_cluster(["rollback"]).assert_success();
    assert_eq!(cluster.status().release, Package::New.version());
    assert_only_errors_of_its_own(&load.stop());
}

#[track_caller]
fn configure(cluster: &Cluster, limits: &str) {
    let settings = format!("workers = 4\n[rollout]\nsettle = \"5s\"\nmin_requests = 10\n{limits}\n");
    cluster.configure(&settings);
    cluster.app_cluster(["check"]).assert_success();
}

/// The messages about workers that could not be judged.
#[track_caller]
fn told(cluster: &Cluster, begin: u64) -> Vec<String> {
    let logged = cluster.logged(&["app-cluster"], begin);
    let messages = logged.iter().map(Entry::message).filter(|message| message.contains(NOT_COMPARED));
    messages.map(str::to_owned).collect()
}

/// No worker was touched, and the release is marked as bad.
#[track_caller]
fn assert_undone(cluster: &Cluster, bad: &str, before: &BTreeMap<u32, u32>) {
    assert_eq!(cluster.pids(), *before, "{bad} touched a worker");
    let status = cluster.status();
    assert_eq!(status.release, Package::New.version());
    assert_eq!(status.workers.len(), 4, "the extra worker is still there: {:#?}", status.workers);
    let known = cluster.known_releases();
    assert!(known.iter().any(|release| release.id == bad && release.is_rejected), "{known:#?}");
}

/// Every request was answered, and the bad release answered some.
#[track_caller]
fn assert_only_errors_of_its_own(report: &Report) {
    let errors = report.count(Failure::Status(500));
    assert!(errors > 0 && report.ok > 0, "{report}");
    assert_eq!(report.failed(), errors, "requests were lost:\n{report}");
}
