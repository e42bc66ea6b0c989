//! An invalid configuration changes nothing. The error names the file, the line and the column.

use promises::{Cluster, Mode, Output, Suite, monotonic_usec};

promises::in_one_suite!(
    bookworm:
    an_invalid_file_fails_the_reload,
    a_unit_that_endangers_the_socket_is_found,
    an_invalid_file_at_the_start_leaves_the_workers_alone,
);

const FILE: &str = "/etc/app-cluster/conf.d/60-wrong.toml";

/// The configuration, the position of the error, and a part of the message.
const MISTAKES: [(&str, &str, &str); 4] = [
    ("# ours\nworkes = 4\n", ":2:1", "workes"),
    ("workers = 4\n[rollout]\nsettle = \"soon\"\n", ":3:10", "settle"),
    ("workers = 0\n", ":1:11", "workers"),
    ("workers = [\n", ":", ""),
];

fn an_invalid_file_fails_the_reload(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    let pids = cluster.pids();
    for (text, position, words) in MISTAKES {
        cluster.write_file(FILE, text);
        let begin = monotonic_usec();
        let place = format!("{FILE}{position}");

        cluster.try_reload().assert_failure();
        let told = cluster.logged(&["app-cluster"], begin);
        let is_told = told.iter().any(|entry| entry.message().contains(&place));
        assert!(is_told, "the journal does not name {place}: {told:#?}");

        for verb in [&["reload"][..], &["check"], &["scale", "4"]] {
            says_where(&cluster.app_cluster(verb.iter().copied()), &place, words);
        }
        assert_eq!(cluster.pids(), pids, "after {text:?}");
        assert_eq!(cluster.status().desired, 4);
    }

    cluster.run(["rm", FILE]).assert_success();
    cluster.app_cluster(["check"]).assert_success();
    cluster.reload();
    assert_ne!(cluster.pids(), pids);
    load.loses_nothing();
}

#[track_caller]
fn says_where(output: &Output, place: &str, words: &str) {
    output.assert_exit_code(78).assert_says(place).assert_says(words);
}

fn a_unit_that_endangers_the_socket_is_found(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for (unit, section, line) in [
        ("worker@.service", "Unit", "StartLimitIntervalSec=10s"),
        ("worker@1.service", "Unit", "StartLimitIntervalSec=10s"),
        ("app-cluster.service", "Unit", "StartLimitIntervalSec=10s"),
        ("app-cluster.socket", "Socket", "TriggerLimitIntervalSec=2s"),
        ("worker@.service", "Service", "NonBlocking=no"),
        ("app-cluster.service", "Service", "NonBlocking=no"),
    ] {
        cluster.edit(unit, section, line);
        let (key, _) = line.split_once('=').expect("a line of a unit is KEY=VALUE");
        let place = format!("/etc/systemd/system/{unit}.d/50-promise.conf:2");
        cluster.app_cluster(["check"]).assert_exit_code(78).assert_says(&place).assert_says(key);
        cluster.revert(unit);
    }
    cluster.app_cluster(["check"]).assert_success();
}

fn an_invalid_file_at_the_start_leaves_the_workers_alone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::WithGaps);
    let pids = cluster.pids();
    cluster.write_file(FILE, "workers = 0\n");
    cluster.systemctl(["restart", "app-cluster"]).assert_failure();
    assert_eq!(cluster.pids(), pids);
    cluster.app_cluster(["status"]).assert_exit_code(75);

    cluster.run(["rm", FILE]).assert_success();
    cluster.systemctl(["start", "app-cluster"]).assert_success();
    assert_eq!(cluster.pids(), pids);
    cluster.reload();
    load.until_more(500);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}
