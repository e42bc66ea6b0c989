//! The D-Bus interface is what docs/ says: members, signals, errors, and who may call what, from any client.

use std::{collections::BTreeMap, thread};

use promises::{Cluster, DEADLINE, GOOD, Mode, Output, Suite, ci_or_full, monotonic_usec, wait_for};
use serde_json::Value;

promises::in_every_suite!(
    member_by_member,
    changes_are_announced,
    errors_have_their_names,
    options_are_read_or_refused,
    clients_of_1_0_are_served,
    what_follows_a_start_finds_it,
    whatever_somebody_without_rights_tries,
);

const DESCRIPTION: &str = include_str!("../../../docs/reference/org.appcluster1.xml");
const HOSTILE: &str = include_str!("hostile/caller.pl");

/// How much more resident memory the orchestrator may have after a flood, in kibibytes: malloc keeps freed
/// memory.
const KEPT_KIB: u64 = 4096;

fn member_by_member(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let introspect = "busctl --system introspect --xml-interface org.appcluster1 /org/appcluster1";
    let served = cluster.run_as("nobody", &introspect.split(' ').collect::<Vec<_>>());
    assert!(described(served.stdout()).len() > 50, "{served}");
    assert_eq!(described(served.stdout()), described(DESCRIPTION), "{served}");

    // Methods that change something are not for every user.
    let members = DESCRIPTION.lines().filter_map(|line| line.trim().strip_prefix("<method name=\""));
    let members: Vec<_> = members.filter_map(|rest| rest.split('"').next()).collect();
    let looks = ["GetStatus", "GetCounters", "ListReleases", "ListHistory"];
    let looks = [&looks[..], &["Status", "Counters", "Releases", "History"]].concat();
    for member in &members {
        let call =
            ["busctl", "--system", "call", "org.appcluster1", "/org/appcluster1", "org.appcluster1", member];
        let output = cluster.run_as("nobody", &call);
        if looks.contains(member) {
            output.assert_success();
        } else {
            output.assert_failure().assert_says("Access denied");
        }
    }
    assert_eq!(members.len(), 20);
}

/// The lines that describe `org.appcluster1`.
fn described(xml: &str) -> Vec<&str> {
    let ours = xml.lines().map(str::trim).skip_while(|line| !line.contains("\"org.appcluster1\""));
    ours.take_while(|line| *line != "</interface>").filter(|line| !line.is_empty()).collect()
}

fn changes_are_announced(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let listen = "systemd-run --quiet --unit=listener --property=StandardOutput=file:/srv/signals \
         busctl --system monitor --json=short --match=\"type='signal',path='/org/appcluster1'\"";
    cluster.shell(listen).assert_success();
    wait_for("a listener on the bus", DEADLINE, || {
        cluster.shell("busctl --system emit /org/appcluster1 org.example Heard").assert_success();
        let heard = cluster.run(["cat", "/srv/signals"]);
        if heard.any_stdout().contains("Heard") { Ok(()) } else { Err(heard) }
    });

    cluster.app_cluster(["scale", "5"]).assert_success();
    let begin = cluster.deploy(GOOD, "announced");
    begin.assert_success();
    let id = cluster.status().rollout.pop().expect("there was a rollout").id;

    wait_for("all signals", DEADLINE, || {
        let told = cluster.run(["cat", "/srv/signals"]);
        let signals: Vec<Value> =
            told.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of = |member: &'static str| {
            let signals = signals.iter().filter(move |signal| signal["member"] == member);
            signals.map(|signal| &signal["payload"]["data"])
        };
        let announces = |name: &str, value: Value| {
            of("PropertiesChanged").any(|data| data[0] == "org.appcluster1" && data[1][name]["data"] == value)
        };
        let rollout = |state: &str| {
            of("RolloutProgress").any(|data| data[0]["id"]["data"] == id && data[0]["state"]["data"] == state)
        };
        let rollout_of_1_0 =
            |state: &str| of("RolloutChanged").any(|data| data[0][0] == id && data[0][3] == state);
        let seen = [
            announces("Desired", 5.into()),
            announces("Ready", 5.into()),
            announces("Release", "announced".into()),
            announces("Summary", "5 of 5 ready, release announced".into()),
            rollout("running"),
            rollout("done"),
            rollout_of_1_0("running"),
            rollout_of_1_0("done"),
        ];
        if seen == [true; 8] { Ok(()) } else { Err(format!("{seen:?} of\n{told}")) }
    });
}

fn errors_have_their_names(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let pids = cluster.pids();
    let refuses = |call: &str, name: &str| {
        let error = cluster.shell(&format!(
            "dbus-send --system --print-reply --dest=org.appcluster1 /org/appcluster1 org.appcluster1.{call}"
        ));
        error.assert_failure().assert_says(&format!("Error org.appcluster1.Error.{name}: "));
    };
    refuses("Pause", "NoRollout");
    refuses("Resume", "NoRollout");
    refuses("Abort uint64:0", "NoRollout");
    refuses("Abort uint64:7", "NoRollout");
    refuses("Rollback string:nothing string:me", "NoSuchRelease");
    refuses("Rollback string: string:me", "NoSuchRelease");
    refuses("Rollback string:../up string:me", "Refused");
    refuses("DeployDirectory string:/srv/nothing string: uint32:0 string:me", "Refused");
    refuses("DeployDirectory string:srv string: uint32:0 string:me", "Refused");
    cluster.configure("workers = 0\n");
    refuses("Reload string:me", "Configuration");
    refuses("Reconfigure", "Configuration");
    assert_eq!(cluster.pids(), pids);
    assert_eq!(cluster.history(), []);

    // This worker answers for some seconds, so that the stop takes time.
    let mut wires = cluster.wires_to_all();
    wires[0].send("/sleep?ms=8000").expect("the worker reads");
    cluster.systemctl(["stop", "--no-block", "app-cluster"]).assert_success();
    wait_for("the cluster to be stopped", DEADLINE, || {
        let summary = cluster.try_status()?.summary;
        if summary.contains("stopping the workers") { Ok(()) } else { Err(summary) }
    });
    refuses("Reload string:me", "ShuttingDown");
    refuses("Reconfigure", "ShuttingDown");
}

/// Calls a member of the cluster's object, as busctl(1) does.
fn call(cluster: &Cluster, member_and_arguments: &str) -> Output {
    let object = "org.appcluster1 /org/appcluster1 org.appcluster1";
    cluster.shell(&format!("busctl --system --json=short call {object} {member_and_arguments}"))
}

/// The only value in a reply.
#[track_caller]
fn answered(output: &Output) -> Value {
    output.assert_success();
    let answer: Value = serde_json::from_str(output.stdout()).expect("it is JSON");
    answer["data"][0].clone()
}

/// Waits until `state` is the end of a rollout.
fn until_done(what: &str, state: impl Fn() -> Value) {
    wait_for(what, DEADLINE, || match state() {
        state if state == "done" => Ok(()),
        state => Err(state),
    });
}

fn options_are_read_or_refused(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let pids = cluster.pids();
    let unknown = call(&cluster, "BeginReload 'a{sv}' 2 by s alice colour s blue");
    unknown.assert_failure().assert_says("the option \"colour\" is refused");
    let mistyped = call(&cluster, "BeginRollback 'a{sv}' 1 id u 7");
    mistyped.assert_failure().assert_says("the option \"id\" is refused");
    assert_eq!((cluster.pids(), cluster.history()), (pids, vec![]));

    let id = answered(&call(&cluster, "BeginReload 'a{sv}' 0"));
    until_done("a reload without options", || {
        let status = answered(&call(&cluster, "GetStatus"));
        let rollout = &status["rollout"]["data"][0];
        if rollout["id"]["data"] == id { rollout["state"]["data"].clone() } else { status }
    });
}

/// The calls of the 1.0.0 command, and how it reads the replies.
fn clients_of_1_0_are_served(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();
    let status = answered(&call(&cluster, "Status"));
    assert_eq!((&status[4], status[6].as_array().map(Vec::len)), (&4.into(), Some(4)), "{status}");

    let state = |id: &Value| {
        let status = answered(&call(&cluster, "Status"));
        if status[7][0][0] == *id { status[7][0][3].clone() } else { status }
    };
    let id = answered(&call(&cluster, "Reload s alice"));
    until_done("the reload", || state(&id));
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");

    cluster.shell(&format!("install -D {GOOD} /srv/shop/worker")).assert_success();
    let id = answered(&call(&cluster, "DeployDirectory ssus /srv/shop shop 0 alice"));
    until_done("the deployment", || state(&id));
    let status = cluster.status();
    let run: Vec<_> = status.workers.iter().map(|worker| worker.release.as_str()).collect();
    assert_eq!((status.release.as_str(), run), ("shop", vec!["shop"; 4]));
    let id = answered(&call(&cluster, "Rollback ss '' alice"));
    until_done("the rollback", || state(&id));

    let releases = answered(&call(&cluster, "Releases"));
    assert!(releases.as_array().is_some_and(|all| all.iter().any(|it| it[0] == "shop")), "{releases}");
    let history = answered(&call(&cluster, "History"));
    assert_eq!((&history[0][0], &history[0][1], &history[0][7]), (&id, &"rollback".into(), &"done".into()));
}

/// `systemctl restart` returns after READY=1. From then on callers must find the orchestrator.
fn what_follows_a_start_finds_it(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for _ in 0..10 {
        cluster.shell("systemctl restart app-cluster && app-cluster status").assert_success();
    }
}

fn whatever_somebody_without_rights_tries(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let calls = ci_or_full(2000, 10_000);
    cluster.write_program("/srv/caller", HOSTILE);
    let load = cluster.load(Mode::Calm);
    cluster.reload();
    let before = cluster.pids();
    let orchestrator = cluster.orchestrator();
    let resident = orchestrator.resident_kib();
    let begin = monotonic_usec();

    let calls_in_words = calls.to_string();
    let caller = || cluster.run_as("nobody", &["/srv/caller", &calls_in_words]);
    thread::scope(|scope| {
        let callers = [(); 3].map(|()| scope.spawn(caller));
        cluster.reload();
        for caller in callers {
            assert_refused(&caller.join().expect("no panic"), calls);
        }
    });

    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    assert_eq!(cluster.orchestrator(), orchestrator, "the orchestrator was restarted");
    let resident_then = orchestrator.resident_kib();
    println!("{suite}: {resident} KiB resident, {resident_then} KiB after {calls} calls by each of three");
    assert!(resident_then <= resident + KEPT_KIB, "{resident} KiB before, {resident_then} KiB afterwards");
    let told = cluster.logged(&["app-cluster"], begin);
    assert!(told.len() < 50, "users without rights must not fill the journal: {told:#?}");
    assert!(!told.iter().any(promises::Entry::is_warning), "{told:#?}");
    assert_eq!(cluster.status().desired, 4);
    load.loses_nothing();
}

/// Every read was answered, and everything else was refused.
#[track_caller]
fn assert_refused(output: &Output, calls: u64) {
    let came = output.stdout().lines().filter_map(|line| line.split_once(' '));
    let mut came: BTreeMap<_, u64> =
        came.filter_map(|(name, number)| Some((name, number.parse().ok()?))).collect();
    assert_eq!(came.remove("Hello"), Some(1), "{output}");
    // A member without arguments may still answer a call with garbage as arguments.
    assert_eq!(came.remove("Status"), Some(calls + 9), "{output}");
    assert!(came.keys().all(|name| name.starts_with("org.freedesktop.DBus.Error.")), "{output}");
    // Reload, Abort, Set, RequestName, BecomeMonitor, and a member that does not exist.
    assert_eq!(came.get("org.freedesktop.DBus.Error.AccessDenied"), Some(&6), "{output}");
}
