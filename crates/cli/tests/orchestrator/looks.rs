//! Commands that change nothing: `status`, `releases`, and the command line itself.

use api::{EntryState, Release, RolloutState as State, StepState as Step};

use crate::bus::Bus;
use crate::fake::{Orchestrator, Script, counters, entry, rollout};
use crate::process::run;
use crate::scripted;

#[test]
fn status_shows_the_cluster_to_people_and_programs() {
    let last = vec![rollout(State::Running, &[Step::Done, Step::Restarting])];
    let script = Script { last, counters: vec![counters(0)], ..Script::default() };
    let (bus, _orchestrator) = scripted(script);
    let ended = run(&bus, &["status"]);
    assert_eq!(ended.exit, 0);
    assert_eq!(
        ended.lines,
        [
            "app-cluster: 1 of 4 ready, release 1.0",
            "",
            "WORKER    STATE  PID  RELEASE  UPTIME  RESTARTS  CPU  MEM  LAST EXIT",
            "worker@1  ready  -    1.0      -       0         -    -    -",
            "",
            "WORKER    CONNS  IN FLIGHT  REQUESTS  REQ/S  5XX   P50    P99",
            "worker@1  2      1          101       -      5.0%  1.2ms  14ms",
            "",
            "rollout 1700000000000: running, 1 of 2 replaced, release 1.0 → 1.1",
            "  reload by alice",
            "  how it is",
        ]
    );
    let json = run(&bus, &["status", "--json"]).lines.concat();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["schema_version"], &value["version"]), (&1.into(), &"1.0".into()));
    assert_eq!(value["rollout"][0]["steps"][1]["state"], "restarting");
    assert_eq!(value["workers"][0]["counters"]["latency"]["p999_usec"], 20_000);
}

#[test]
fn status_does_without_what_is_counted() {
    let bare = ["app-cluster: 1 of 4 ready, release 1.0", ""];
    // The worker in the status is another process by now.
    let (bus, _orchestrator) = scripted(Script { counters: vec![counters(7)], ..Script::default() });
    let ended = run(&bus, &["status"]);
    assert_eq!((ended.exit, ended.lines.len(), &ended.lines[..2]), (0, 4, &bare.map(str::to_owned)[..]));

    // An orchestrator or a bus that does not know the method.
    let denied = ["GetCounters", "Counters"]
        .map(|member| format!("<deny send_interface=\"org.appcluster1\" send_member=\"{member}\"/>"));
    let bus = Bus::start(&denied.concat());
    let _orchestrator =
        Orchestrator::start(&bus, Script { counters: vec![counters(0)], ..Script::default() });
    let ended = run(&bus, &["status"]);
    assert_eq!((ended.exit, ended.lines.len(), ended.errors.as_str()), (0, 4, ""));
    let json = run(&bus, &["status", "--json"]).lines.concat();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(value["workers"][0]["counters"].is_null() && value["workers"][0]["state"] == "ready", "{json}");
}

#[test]
fn releases_and_history_are_shown_to_people_and_programs() {
    let release = Release {
        id: "1.0".into(),
        directory: String::new(),
        added_usec: 1,
        is_current: true,
        is_rejected: false,
        workers: 4,
    };
    let script =
        Script { releases: vec![release], history: vec![entry(EntryState::Restored)], ..Script::default() };
    let (bus, _orchestrator) = scripted(script);
    let ended = run(&bus, &["releases"]);
    assert_eq!(ended.exit, 0);
    let [titles, release, empty, history, entry] = &ended.lines[..] else { panic!("{:?}", ended.lines) };
    assert_eq!(titles.split_whitespace().next(), Some("ID"));
    assert!(release.starts_with("*  1.0 "), "{release}");
    assert!(empty.is_empty() && history.starts_with("WHEN "), "{history}");
    assert!(entry.contains("ago  reload  1.0 → 1.1  alice  restored  3s"), "{entry}");

    assert_eq!(run(&bus, &["releases", "--ids"]).lines, ["1.0"], "for the shells' completion");

    let json = run(&bus, &["releases", "--json"]).lines.concat();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["schema_version"], 1);
    assert_eq!(
        (&value["releases"][0]["is_current"], &value["history"][0]["kind"]),
        (&true.into(), &"reload".into())
    );
}

#[test]
fn a_wrong_command_line_is_64() {
    let bus = Bus::start("");
    for args in [
        &["relaod"] as &[&str],
        &[],
        &["scale", "0"],
        &["deploy"],
        &["deploy", "x", "--canary", "0"],
        &["rollback", ""],
        &["abort", "x"],
        &["status", "--json", "--watch"],
    ] {
        assert_eq!(run(&bus, args).exit, 64, "{args:?}");
    }
    let ended = run(&bus, &["start", "server.js", "-i", "4"]);
    assert_eq!(ended.exit, 64);
    assert!(
        ended.errors.starts_with("app-cluster: `start` is not a command here; `systemctl start app-cluster`")
    );
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
    for args in [["--help"], ["--version"]] {
        assert_eq!(run(&bus, &args).exit, 0);
    }
}
