//! The rules: settings of the units. Without them, the cluster would lose its socket or requests, or break a promise.

use super::demand::{Demand, Remedy, Unmet};
use super::problem::Problem;
use super::unit::Unit;
use super::units::{SERVICE, SOCKET, Units, WORKER};

/// A rule about one setting of one unit.
#[derive(Debug)]
pub(super) struct Rule {
    /// Its name, for tests.
    pub(super) label: &'static str,
    /// The unit that it applies to.
    pub(super) unit: &'static str,
    /// The setting: section and key, the usual name first.
    names: &'static [(&'static str, &'static str)],
    demand: Demand,
    /// What happens if the rule is broken.
    reason: &'static str,
}

/// systemd also accepts the old names of the setting.
const START_LIMIT: &[(&str, &str)] = &[
    ("Unit", "StartLimitIntervalSec"),
    ("Unit", "StartLimitInterval"),
    ("Service", "StartLimitInterval"),
    ("Socket", "StartLimitInterval"),
];
const LIMIT_FAILS_SOCKET: &str = "a unit that reaches its start limit takes the shared socket down with it";
const RESTARTS_ALL: &str = "all workers would be stopped or restarted at once";
const TMP_HOLDS_LISTENER: &str = "to clean up after each stop, systemd forks a copy of itself, which holds the listener, and a \
     restarted app-cluster.socket finds its address in use; TemporaryFileSystem=/tmp:mode=1777 gives a private /tmp, too";

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

/// Every rule. The comments of the shipped units give the reasons.
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
    rule("socket-flush", SOCKET, &[("Socket", "FlushPending")], Demand::Is(false),
        "waiting connections would be dropped"),
    rule("socket-service", SOCKET, &[("Socket", "Service")],
        Demand::OneOf { words: &[SERVICE], default: SERVICE },
        "the first connection would start that unit and not the cluster"),
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
        "the orchestrator gets the shared socket too, and its start would make the socket blocking for all workers"),
    rule("service-reload", SERVICE, &[("Service", "ExecReload")], Demand::WaitsForRollout,
        "systemctl reload would report success before the rollout has ended"),
    rule("service-private-tmp", SERVICE, &[("Service", "PrivateTmp")], Demand::Is(false), TMP_HOLDS_LISTENER),
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
    rule("worker-restart-prevent", WORKER, &[("Service", "RestartPreventExitStatus")], Demand::Names(&["78", "CONFIG"]),
        "a worker whose configuration is wrong would be restarted endlessly"),
    rule("worker-instance", WORKER, &[("Service", "Environment")], Demand::Names(&["APP_CLUSTER_INSTANCE=%i"]),
        "a worker would not know its scoreboard slot: it would count nothing, and would not share connections evenly with the others"),
    rule("worker-scoreboard", WORKER, &[("Service", "RuntimeDirectory")], Demand::Names(&["app-cluster/scoreboard"]),
        "without the directory of the scoreboard, workers would count nothing, and would not share connections evenly"),
    rule("worker-restart-mode", WORKER, &[("Service", "RestartMode")],
        Demand::OneOf { words: &["normal", "debug"], default: "normal" },
        "a rollout would wait for ever for a worker that crashes"),
    rule("worker-kill-mode", WORKER, &[("Service", "KillMode")],
        Demand::OneOf { words: &["mixed", "control-group"], default: "control-group" },
        "children of a worker would outlive it and hold the socket"),
    rule("worker-stop-timeout", WORKER, &[("Service", "TimeoutStopSec"), ("Service", "TimeoutSec")],
        Demand::AtLeast(35),
        "systemd would kill a worker that still drains (30 s)"),
    rule("worker-private-tmp", WORKER, &[("Service", "PrivateTmp")], Demand::Is(false), TMP_HOLDS_LISTENER),
    rule("worker-after", WORKER, &[("Unit", "After")], Demand::Lacks(SERVICE),
        "a rollout would wait for the worker and the worker for the rollout"),
    rule("worker-requires", WORKER, &[("Unit", "Requires")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-requisite", WORKER, &[("Unit", "Requisite")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-binds-to", WORKER, &[("Unit", "BindsTo")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-part-of", WORKER, &[("Unit", "PartOf")], Demand::Lacks(SERVICE), RESTARTS_ALL),
    rule("worker-stop-propagated", WORKER, &[("Unit", "StopPropagatedFrom")], Demand::Lacks(SERVICE), RESTARTS_ALL),
];

/// The problems of a setting that breaks a rule.
pub(super) fn check(units: &Units) -> Vec<Problem> {
    units.loaded.iter().flat_map(|loaded| judge(&loaded.unit, loaded.kind)).collect()
}

fn judge(unit: &Unit, kind: &str) -> Vec<Problem> {
    let rules = RULES.iter().filter(|rule| rule.unit == kind);
    let unmet = rules
        .flat_map(|rule| rule.demand.unmet(unit, rule.names).into_iter().map(move |unmet| (rule, unmet)));
    unmet.map(|(rule, unmet)| describe(rule, unit, &unmet)).collect()
}

fn describe(rule: &Rule, unit: &Unit, unmet: &Unmet<'_>) -> Problem {
    let (section, key) = rule.names[0];
    let place = match unmet.at {
        Some(at) => at.place(),
        None => format!("{}: [{section}] {key}", unit.file.display()),
    };
    let advice = match &unmet.remedy {
        Remedy::Write(value) => format!("write {key}={value}"),
        Remedy::Remove => "remove the line".to_owned(),
        Remedy::RemoveWord(word) => format!("remove {word} from it"),
    };
    Problem::new(rule.label, place, format!("{} ({}); {advice}", unmet.what, rule.reason))
}
