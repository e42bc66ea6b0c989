//! The shipped units have no problems, and every rule reports the change that breaks it.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::rules::RULES;
use super::*;

/// Mistakes of administrators that the check once did not report.
mod mistakes;

const UNITS: &str = "usr/lib/systemd/system";

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_symlink() {
            symlink(fs::read_link(entry.path()).unwrap(), target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// An installation with only the shipped units and the programs that they and the cases name.
fn installed() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    // The users of the services have to reach the files below it.
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    copy(&source("../../units"), &root.path().join(UNITS));
    for name in [
        "usr/libexec/app-cluster/orchestrator",
        "usr/bin/app-cluster",
        "usr/bin/node",
        "srv/app/server",
        "bin/sh",
    ] {
        let program = root.path().join(name);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

fn drop_in(root: &Path, unit: &str, text: &str) {
    let directory = root.join("etc/systemd/system").join(format!("{unit}.d"));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("override.conf"), text).unwrap();
}

#[test]
fn the_shipped_units_have_no_problem() {
    let root = installed();
    let (text, exit) = report(root.path());
    assert_eq!(exit, Exit::Done, "{text}");
    assert!(text.contains("worker@.service: ok\n") && text.ends_with("no problems\n"), "{text}");
}

/// For each rule, a drop-in that breaks it.
const BREAKS: &[(&str, &str)] = &[
    ("socket-start-limit", "[Unit]\nStartLimitIntervalSec=10s"),
    ("socket-trigger-limit", "[Socket]\nTriggerLimitIntervalSec=2s"),
    ("socket-manual-stop", "[Unit]\nRefuseManualStop=no"),
    ("socket-name", "[Socket]\nFileDescriptorName=web"),
    ("socket-flush", "[Socket]\nFlushPending=on"),
    ("socket-service", "[Socket]\nService=worker@1.service"),
    ("socket-address-twice", "[Socket]\nListenStream=8081\nListenStream=8081"),
    ("service-start-limit", "[Service]\nStartLimitInterval=1"),
    ("service-type", "[Service]\nType=simple"),
    ("service-notify-access", "[Service]\nNotifyAccess=main"),
    ("service-non-blocking", "[Service]\nNonBlocking=no"),
    ("service-reload", "[Service]\nExecReload=\nExecReload=/usr/bin/node -HUP $MAINPID"),
    ("service-private-tmp", "[Service]\nPrivateTmp=yes"),
    ("service-before-workers", "[Unit]\nBefore=network.target worker@1.service"),
    ("worker-start-limit", "[Unit]\nStartLimitIntervalSec=1min"),
    ("worker-type", "[Service]\nType=exec"),
    ("worker-non-blocking", "[Service]\nNonBlocking=no"),
    ("worker-restart", "[Service]\nRestart=on-abnormal"),
    ("worker-restart-prevent", "[Service]\nRestartPreventExitStatus="),
    ("worker-instance", "[Service]\nEnvironment="),
    ("worker-scoreboard", "[Service]\nRuntimeDirectory=\nRuntimeDirectory=shop"),
    ("worker-restart-mode", "[Service]\nRestartMode=direct"),
    ("worker-kill-mode", "[Service]\nKillMode=process"),
    ("worker-stop-timeout", "[Service]\nTimeoutSec=10"),
    ("worker-private-tmp", "[Service]\nPrivateTmp=yes"),
    ("worker-after", "[Unit]\nAfter=network.target app-cluster.service"),
    ("worker-requires", "[Unit]\nRequires=app-cluster.service"),
    ("worker-requisite", "[Unit]\nRequisite=app-cluster.service"),
    ("worker-binds-to", "[Unit]\nBindsTo=app-cluster.service"),
    ("worker-part-of", "[Unit]\nPartOf=app-cluster.service"),
    ("worker-stop-propagated", "[Unit]\nStopPropagatedFrom=app-cluster.service"),
];

/// A rule that is broken only if its line is removed from the unit: a list that drop-ins cannot shorten.
const TAKEN_OUT: (&str, &str) = ("worker-sockets", "Sockets=app-cluster.socket");

fn labels(root: &Path) -> Vec<&'static str> {
    look(root).findings.problems.iter().map(|problem| problem.label).collect()
}

#[test]
fn every_rule_finds_what_breaks_it_and_nothing_else_does() {
    for (label, text) in BREAKS {
        let root = installed();
        let rule = RULES.iter().find(|rule| rule.label == *label).unwrap();
        drop_in(root.path(), rule.unit, text);
        let found = labels(root.path());
        // systemd 252 does not know RestartMode=, and reports it.
        let is_unknown = *label == "worker-restart-mode" && found == ["verify"];
        assert!(is_unknown || found == [*label], "{found:?} of {text}");
    }

    let root = installed();
    let worker = root.path().join(UNITS).join("worker@.service");
    let text = fs::read_to_string(&worker).unwrap();
    fs::write(&worker, text.replace(TAKEN_OUT.1, "")).unwrap();
    assert_eq!(labels(root.path()), [TAKEN_OUT.0]);
}

#[test]
fn every_rule_is_exercised() {
    let exercised: BTreeSet<_> = BREAKS.iter().map(|(label, _)| *label).chain([TAKEN_OUT.0]).collect();
    assert_eq!(exercised, RULES.iter().map(|rule| rule.label).collect());
}

#[test]
fn systemds_defaults_break_the_rules_that_ask_for_more() {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join(UNITS);
    fs::create_dir_all(&units).unwrap();
    for (unit, section) in [
        ("app-cluster.socket", "Socket"),
        ("app-cluster.service", "Service"),
        ("worker@.service", "Service"),
        ("app-cluster.target", "Unit"),
        ("app-cluster.slice", "Unit"),
    ] {
        fs::write(units.join(unit), format!("[{section}]\n")).unwrap();
    }
    let kept_by_defaults = [
        "socket-flush",
        "socket-address-twice",
        "socket-service",
        "service-private-tmp",
        "worker-private-tmp",
        "service-before-workers",
        "worker-restart-mode",
        "worker-kill-mode",
        "worker-stop-timeout",
        "worker-after",
        "worker-requires",
        "worker-requisite",
        "worker-binds-to",
        "worker-part-of",
        "worker-stop-propagated",
    ];
    let expected = RULES.iter().map(|rule| rule.label).filter(|label| !kept_by_defaults.contains(label));
    let found = labels(root.path());
    // systemd reports that they name no address and no program.
    let of_rules = found.into_iter().filter(|label| *label != "verify");
    assert_eq!(of_rules.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn what_meets_a_demand_in_another_way_is_no_problem() {
    let root = installed();
    drop_in(
        root.path(),
        "worker@.service",
        "[Unit]\nStartLimitIntervalSec=0s\nBefore=app-cluster.service\n\
         [Service]\nExecStart=\nExecStart=/usr/bin/node server.js\nRestart=always\nTimeoutStopSec=infinity",
    );
    drop_in(root.path(), "app-cluster.service", "[Service]\nNotifyAccess=all\n");
    drop_in(
        root.path(),
        "app-cluster.socket",
        "[Socket]\nListenStream=\nListenStream=0.0.0.0:80\nListenStream=[::]:80",
    );
    assert_eq!(labels(root.path()), [""; 0]);
}

#[test]
fn a_reload_whose_exit_status_is_ignored_is_a_problem() {
    let root = installed();
    drop_in(
        root.path(),
        "app-cluster.service",
        "[Service]\nExecReload=\nExecReload=-/usr/bin/app-cluster reload",
    );
    assert_eq!(labels(root.path()), ["service-reload"]);
}

#[test]
fn a_missing_unit_is_a_problem() {
    let root = installed();
    fs::remove_file(root.path().join(UNITS).join("app-cluster.target")).unwrap();
    let (text, exit) = report(root.path());
    assert_eq!(exit, Exit::Configuration);
    assert!(text.contains("/app-cluster.target: missing; install the package again\n1 problem\n"), "{text}");
}

/// Each directory in `tests/check` is copied over the shipped units. Its `expected.txt` is the report.
/// `UPDATE_EXPECTED=1 cargo test -p cli` writes the current reports. Review their diff.
#[test]
fn every_case_reports_what_is_expected() {
    let mut cases: Vec<_> =
        fs::read_dir(source("tests/check")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 6, "cases are missing");
    for case in cases {
        let root = installed();
        copy(&case, root.path());
        let (text, exit) = report(root.path());
        let said = format!("{}exit {}\n", text.replace(&root.path().display().to_string(), ""), exit as u8);
        let expected = case.join("expected.txt");
        if env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&expected).unwrap(), "{}", case.display());
    }
}
