//! The rules: settings of the units without which the cluster loses its socket, its requests or its word.

use std::fmt;
use std::path::{Path, PathBuf};

use super::demand::{Demand, Mend, Unmet};
use super::unit::{self, Absent, Unit};

/// A rule about one setting of one unit.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its name, for tests.
    pub(super) label: &'static str,
    /// The unit it is about.
    pub(super) unit: &'static str,
    /// The setting: section and key, the usual name first.
    names: &'static [(&'static str, &'static str)],
    demand: Demand,
    /// What happens otherwise.
    reason: &'static str,
}

pub(super) const WORKER: &str = "worker@.service";
const SERVICE: &str = "app-cluster.service";
const SOCKET: &str = "app-cluster.socket";
const TARGET: &str = "app-cluster.target";

/// All units of the cluster; each has to be there.
const UNITS: [&str; 4] = [SOCKET, SERVICE, WORKER, TARGET];

/// systemd knows the setting under its old names too.
const START_LIMIT: &[(&str, &str)] = &[
    ("Unit", "StartLimitIntervalSec"),
    ("Unit", "StartLimitInterval"),
    ("Service", "StartLimitInterval"),
    ("Socket", "StartLimitInterval"),
];
const LIMIT_FAILS_SOCKET: &str = "a unit that reaches its start limit takes the shared socket down with it";
const RESTARTS_ALL: &str = "all workers would be stopped or restarted at once";

/// Shortens the table below.
const fn rule(
    label: &'static str,
    unit: &'static str,
    names: &'static [(&'static str, &'static str)],
    demand: Demand,
    reason: &'static str,
) -> Rule {
    Rule { label, unit, names, demand, reason }
}

/// Every rule. Their grounds are in the comments of the units as shipped.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    rule("socket-start-limit", SOCKET, START_LIMIT, Demand::Zero, LIMIT_FAILS_SOCKET),
    rule("socket-trigger-limit", SOCKET, &[("Socket", "TriggerLimitIntervalSec")], Demand::Zero,
        "a crash loop under load closes the socket for good"),
    rule("socket-manual-stop", SOCKET, &[("Unit", "RefuseManualStop")], Demand::Is(true),
        "a restart typed by mistake leaves the socket closed"),
    rule("socket-name", SOCKET, &[("Socket", "FileDescriptorName")],
        Demand::OneOf { words: &["http"], default: "app-cluster.socket" },
        "workers ask for the listener by this name"),
    rule("socket-accept", SOCKET, &[("Socket", "Accept")], Demand::Is(false),
        "systemd would start a process for each connection"),
    rule("socket-flush", SOCKET, &[("Socket", "FlushPending")], Demand::Is(false),
        "connections that wait would be dropped"),
    rule("socket-address", SOCKET, &[("Socket", "ListenStream")], Demand::Present,
        "there is no address to listen on"),
    rule("socket-address-twice", SOCKET, &[("Socket", "ListenStream")], Demand::NoneTwice,
        "only one of the two survives a daemon-reload"),

    rule("service-start-limit", SERVICE, START_LIMIT, Demand::Zero, LIMIT_FAILS_SOCKET),
    rule("service-type", SERVICE, &[("Service", "Type")],
        Demand::OneOf { words: &["notify"], default: "simple" },
        "systemd would not know when the cluster is up"),
    rule("service-notify-access", SERVICE, &[("Service", "NotifyAccess")],
        Demand::OneOf { words: &["exec", "all"], default: "main" },
        "a reload could not ask for more time, and a long rollout would be cut off"),
    rule("service-non-blocking", SERVICE, &[("Service", "NonBlocking")], Demand::Is(true),
        "it is given the shared socket too, and its start would make it blocking for all workers"),
    rule("service-reload", SERVICE, &[("Service", "ExecReload")], Demand::WaitsForRollout,
        "systemctl reload would report success before the rollout has ended"),
    rule("service-before-workers", SERVICE, &[("Unit", "Before")], Demand::Lacks("worker@"),
        "a reload would wait for the worker and the worker for the reload"),

    rule("worker-start-limit", WORKER, START_LIMIT, Demand::Zero, LIMIT_FAILS_SOCKET),
    rule("worker-type", WORKER, &[("Service", "Type")],
        Demand::OneOf { words: &["notify"], default: "simple" },
        "the next worker would be stopped before this one serves"),
    rule("worker-non-blocking", WORKER, &[("Service", "NonBlocking")], Demand::Is(true),
        "each start would make the shared socket blocking for all workers"),
    rule("worker-sockets", WORKER, &[("Service", "Sockets")], Demand::Contains(SOCKET),
        "the worker would be started without a listener"),
    rule("worker-restart", WORKER, &[("Service", "Restart")],
        Demand::OneOf { words: &["on-failure", "always"], default: "no" },
        "a worker that crashes would stay down"),
    rule("worker-restart-mode", WORKER, &[("Service", "RestartMode")],
        Demand::OneOf { words: &["normal", "debug"], default: "normal" },
        "a rollout would wait for ever for a worker that crashes"),
    rule("worker-kill-mode", WORKER, &[("Service", "KillMode")],
        Demand::OneOf { words: &["mixed", "control-group"], default: "control-group" },
        "children of a worker would outlive it and hold the socket"),
    rule("worker-stop-timeout", WORKER, &[("Service", "TimeoutStopSec"), ("Service", "TimeoutSec")],
        Demand::AtLeast(35),
        "systemd would kill a worker that still drains (30 s)"),
    rule("worker-command", WORKER, &[("Service", "ExecStart")], Demand::Present,
        "there is nothing to run"),
    rule("worker-after", WORKER, &[("Unit", "After")], Demand::Lacks(SERVICE),
        "a rollout would wait for the worker and the worker for the rollout"),
    rule("worker-requires", WORKER, &[("Unit", "Requires")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-requisite", WORKER, &[("Unit", "Requisite")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-binds-to", WORKER, &[("Unit", "BindsTo")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-part-of", WORKER, &[("Unit", "PartOf")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-stop-propagated", WORKER, &[("Unit", "StopPropagatedFrom")], Demand::Lacks(SERVICE), RESTARTS_ALL),
];

/// Something that is wrong with a unit. Shown as `file:line: [Section] Key: what is wrong (why); write …`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The rule's name; absent for a unit that is missing, or a file with mistakes.
    pub(super) label: Option<&'static str>,
    text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks all units below `root`: the files looked at, and what is wrong.
pub(super) fn check(root: &Path) -> (Vec<PathBuf>, Vec<Violation>) {
    let directories = unit::directories(root);
    let mut files = Vec::new();
    let mut violations: Vec<Violation> = Vec::new();
    for name in UNITS {
        let own = unit::instances(&directories, name);
        for loaded in [vec![name.to_owned()], own].concat() {
            match Unit::load(&directories, &loaded) {
                Ok(unit) => {
                    violations.extend(judge(&unit, name));
                    files.push(unit.file);
                    files.extend(unit.drop_ins);
                }
                Err(absent) => violations.push(of_absent(&loaded, root, &absent)),
            }
        }
    }
    files.sort();
    files.dedup();
    (files, violations)
}

fn of_absent(name: &str, root: &Path, absent: &Absent) -> Violation {
    let text = match absent {
        Absent::Missing => {
            let place = root.join("usr/lib/systemd/system").join(name);
            format!("{}: missing; install the package again", place.display())
        }
        Absent::Masked(file) => format!("{}: masked; write `systemctl unmask {name}`", file.display()),
    };
    Violation { label: None, text }
}

fn judge(unit: &Unit, name: &str) -> Vec<Violation> {
    let unreadable = unit.unreadable.iter().map(ToString::to_string);
    let ignored =
        unit.ignored.iter().map(|(file, line)| format!("{}:{}: {}", file.display(), line.line, line.message));
    let mut violations: Vec<_> =
        unreadable.chain(ignored).map(|text| Violation { label: None, text }).collect();
    for rule in RULES.iter().filter(|rule| rule.unit == name) {
        let unmet = rule.demand.unmet(unit, rule.names);
        violations.extend(
            unmet
                .iter()
                .map(|unmet| Violation { label: Some(rule.label), text: describe(rule, unit, unmet) }),
        );
    }
    violations
}

fn describe(rule: &Rule, unit: &Unit, unmet: &Unmet<'_>) -> String {
    let (section, key) = rule.names[0];
    let place = match unmet.at {
        Some(at) => format!("{}:{}: [{}] {}", at.file.display(), at.line, at.section, at.key),
        None => format!("{}: [{section}] {key}", unit.file.display()),
    };
    let advice = match &unmet.mend {
        Mend::Write(value) => format!("write {key}={value}"),
        Mend::Remove => "remove the line".to_owned(),
        Mend::RemoveWord(word) => format!("remove {word} from it"),
    };
    format!("{place}: {} ({}); {advice}", unmet.what, rule.reason)
}
