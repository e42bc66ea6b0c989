//! Each user and each service may do only what it needs.

use promises::{Cluster, Mode, Output, Suite};

promises::in_every_suite!(
    the_orchestrator_may_restart_workers_and_nothing_else,
    everybody_may_look_and_only_root_may_act,
    nobody_is_believed_who_pretends_to_be_systemd,
    the_units_are_sandboxed,
    a_worker_is_kept_from_what_is_not_its_own,
    workers_share_the_mounts_of_the_machine,
    a_worker_may_become_the_user_that_it_is,
);

const SYSTEMD: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];

fn the_orchestrator_may_restart_workers_and_nothing_else(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();
    let ask = |method: &str, words: &[&str]| call(&cluster, "app-cluster", &SYSTEMD, method, words);

    ask("RestartUnit", &["ss", "worker@1.service", "replace"]).assert_success();
    cluster.until_worker(1, "to be restarted", |worker| worker.is_ready() && worker.pid != before[&1]);

    for unit in
        ["dbus.service", "worker@x.service", "worker@1.socket", "app-cluster.socket", "worker.service"]
    {
        for method in ["RestartUnit", "StartUnit", "StopUnit"] {
            refused(&ask(method, &["ss", unit, "replace"]));
        }
    }
    for method in ["StartUnit", "StopUnit", "ReloadUnit"] {
        refused(&ask(method, &["ss", "app-cluster.target", "replace"]));
    }
    refused(&ask("KillUnit", &["ssi", "worker@1.service", "main", "9"]));
    refused(&ask("SetUnitProperties", &["sba(sv)", "worker@1.service", "true", "0"]));
    refused(&ask("Reload", &[]));
    refused(&ask("PowerOff", &[]));
    refused(&ask("StartTransientUnit", &["ssa(sv)a(sa(sv))", "made-up.service", "replace", "0", "0"]));
    // systemd itself refuses a transient unit with the name of a unit file, and every worker has one.
    ask("StartTransientUnit", &["ssa(sv)a(sa(sv))", "worker@9.service", "replace", "0", "0"])
        .assert_failure();

    // A worker may not call anything.
    let worker =
        call(&cluster, "app-cluster-worker", &SYSTEMD, "RestartUnit", &["ss", "worker@1.service", "replace"]);
    refused(&worker);
    cluster.until_whole();
}

fn everybody_may_look_and_only_root_may_act(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();

    let status = cluster.run_as("nobody", &["app-cluster", "status"]);
    status.assert_success().assert_says("worker@1").assert_says("4 of 4 ready");
    let object = ["org.appcluster1", "/org/appcluster1", "org.appcluster1"];
    let looks = ["GetStatus", "GetCounters", "ListReleases", "ListHistory"];
    for method in [&looks[..], &["Status", "Counters", "Releases", "History"]].concat() {
        call(&cluster, "nobody", &object, method, &[]).assert_success();
    }
    for user in ["nobody", "app-cluster-worker"] {
        for (method, words) in [
            ("BeginReload", &["a{sv}", "0"][..]),
            ("BeginRollback", &["a{sv}", "0"]),
            ("Reload", &["s", "me"]),
            ("Reconfigure", &[]),
            ("Abort", &["t", "0"]),
        ] {
            refused(&call(&cluster, user, &object, method, words));
        }
    }
    let program = "/usr/lib/app-cluster/release/worker";
    for verb in
        [&["reload"][..], &["scale", "2"], &["deploy", program], &["rollback"], &["pause"], &["abort", "7"]]
    {
        let verb = [&["app-cluster"], verb].concat();
        cluster.run_as("nobody", &verb).assert_exit_code(4).assert_says("not permitted");
    }
    assert_eq!(cluster.pids(), before);

    call(&cluster, "root", &object, "Reload", &["s", "me"]).assert_success();
    cluster.until_worker(4, "to be replaced", |worker| worker.is_ready() && worker.pid != before[&4]);
}

/// Any process may send any signal to another one's bus name. But it cannot forge the sender.
fn nobody_is_believed_who_pretends_to_be_systemd(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::Calm);
    let status = cluster.status();
    let before = cluster.pids();
    let unit = "/org/freedesktop/systemd1/unit/worker_401_2eservice";
    let properties =
        ["sa{sv}as", "org.freedesktop.systemd1.Unit", "1", "ActiveState", "s", "inactive", "0"].as_slice();
    let service = ["sa{sv}as", "org.freedesktop.systemd1.Service", "1", "MainPID", "u", "1", "0"].as_slice();
    let job = ["uoss", "7", "/org/freedesktop/systemd1/job/7", "worker@1.service", "failed"].as_slice();
    let rollout = ["t", "1"].as_slice();
    for _ in 0..5 {
        for (path, interface, name, words) in [
            (unit, "org.freedesktop.DBus.Properties", "PropertiesChanged", properties),
            (unit, "org.freedesktop.DBus.Properties", "PropertiesChanged", service),
            (SYSTEMD[1], SYSTEMD[2], "JobRemoved", job),
            (SYSTEMD[1], SYSTEMD[2], "Reloading", &["b", "false"][..]),
            ("/org/appcluster1", "org.appcluster1", "RolloutProgress", &["a{sv}", "0"]),
            ("/org/appcluster1", "org.appcluster1", "RolloutChanged", rollout),
        ] {
            // The bus lets any process send a signal to any other.
            let emit = ["busctl", "--system", "--destination=org.appcluster1", "emit", path, interface, name];
            cluster.run_as("nobody", &[&emit[..], words].concat()).assert_success();
        }
    }

    let now = cluster.status();
    assert_eq!((now.ready, now.summary), (status.ready, status.summary));
    assert_eq!(now.workers, status.workers, "the orchestrator accepted a forged signal");
    assert_eq!(cluster.pids(), before);
    cluster.reload();
    load.loses_nothing();
}

/// As gunicorn 20 does before it serves.
fn a_worker_may_become_the_user_that_it_is(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let perl = "ExecStartPre=/usr/bin/perl -MPOSIX -e 'defined(POSIX::setuid($$<)) or die $$!'";
    cluster.edit("worker@.service", "Service", perl);
    cluster.reload();
    let root = "ExecStartPre=/usr/bin/perl -MPOSIX -e 'defined(POSIX::setuid(0)) and die qq(it is root)'";
    cluster.edit("worker@.service", "Service", root);
    cluster.reload();
}

fn the_units_are_sandboxed(suite: Suite) {
    let cluster = Cluster::installed(suite);
    // The system calls of @setuid cost a worker 0.1 points. Without capabilities and with NoNewPrivileges=
    // they give it no rights.
    for (unit, most) in [("app-cluster.service", 2.0), ("worker@1.service", 3.3)] {
        let output = cluster.run(["systemd-analyze", "security", "--no-pager", unit]);
        let exposure =
            output.stdout().lines().find_map(|line| line.split_once("Overall exposure level for "));
        let words = exposure.map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
        let score = words.and_then(|words| words.get(1)?.parse::<f64>().ok());
        let score = score.unwrap_or_else(|| panic!("there is no score:\n{output}"));
        println!("{suite}: exposure of {unit}: {score}");
        assert!(score <= most, "{unit} is exposed by {score}, at most {most} is promised\n{output}");
    }
}

/// What root can do on the machine, as shell commands. Opening devices is missing: a BPF program in the
/// kernel forbids it, and a machine that is a container may not be able to load one.
const ATTEMPTS: [(&str, &str); 5] = [
    ("change a kernel setting", "echo 60 > /proc/sys/net/ipv4/tcp_fin_timeout"),
    ("change control groups", "mkdir /sys/fs/cgroup/probe && rmdir /sys/fs/cgroup/probe"),
    ("name the host", "hostname \"$(hostname)\""),
    ("make a device", "mknod /tmp/probe c 1 3 && rm /tmp/probe"),
    ("write to /usr", "touch /usr/probe && rm /usr/probe"),
];

/// What any user can do, until the administrator follows docs/how-to/restrict-file-access.md.
const ATTEMPTS_ON_FILES: [(&str, &str); 4] = [
    ("write where everybody may", "touch /srv/probe && rm /srv/probe"),
    ("read what is at home", "cat /home/probe"),
    ("see the temporary files of others", "cat /tmp/secret"),
    ("see the processes of others", "cat /proc/1/stat"),
];

/// The lines of docs/how-to/restrict-file-access.md that restrict a worker's access to files.
fn file_directives() -> &'static str {
    let guide = include_str!("../../../docs/how-to/restrict-file-access.md");
    let block = guide.split_once("\n[Service]\n").and_then(|(_, rest)| rest.split_once("```"));
    block.expect("the guide has a drop-in").0
}

/// Directives of the unit prevent a part of it. The rest fails because the worker is not root and has no
/// capabilities.
fn a_worker_is_kept_from_what_is_not_its_own(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let attempt = |(what, command): &(&str, &str)| {
        format!("({command}) > /dev/null 2>&1 && echo \"$1 is able to {what}\"\n")
    };
    let probe: String = ATTEMPTS.iter().chain(&ATTEMPTS_ON_FILES).map(attempt).collect();
    cluster.write_file("/etc/probe", &format!("{probe}echo \"$1 has tried\"\n"));
    cluster.write_file("/home/probe", "for everybody to read\n");
    cluster.write_file("/tmp/secret", "for everybody to read\n");
    cluster.shell("chmod 644 /home/probe /tmp/secret && chmod 1777 /srv").assert_success();

    let root = cluster.shell("sh /etc/probe root");
    for (what, _) in ATTEMPTS.iter().chain(&ATTEMPTS_ON_FILES) {
        root.assert_says(&format!("root is able to {what}"));
    }
    let heard_of = |who: &str, directives: &str| {
        let probe = format!("{directives}ExecStartPre=sh /etc/probe {who}");
        cluster.edit("worker@.service", "Service", &probe);
        cluster.systemctl(["restart", "worker@1"]).assert_success();
        let heard = cluster.journal(["-u", "worker@1", "-o", "cat"]);
        assert!(heard.contains(&format!("{who} has tried")), "the probe has not run\n{heard}");
        heard
    };
    let heard = heard_of("worker", "");
    for (what, _) in ATTEMPTS {
        assert!(!heard.contains(&format!("worker is able to {what}")), "{heard}");
    }
    for (what, _) in ATTEMPTS_ON_FILES {
        assert!(
            heard.contains(&format!("worker is able to {what}")),
            "docs/how-to/restrict-file-access.md says so\n{heard}"
        );
    }
    let heard = heard_of("shielded", file_directives());
    assert!(!heard.contains("shielded is able to"), "{heard}");
}

/// If each worker had its own mounts, every start would take longer the more mounts the machine has.
fn workers_share_the_mounts_of_the_machine(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let namespace = |pid: u32| {
        let link = cluster.run(["readlink", &format!("/proc/{pid}/ns/mnt")]);
        link.assert_success();
        link.stdout().to_owned()
    };
    for pid in cluster.pids().into_values() {
        assert_eq!(namespace(pid), namespace(1));
    }
}

/// Calls a method over the system bus as this user.
#[track_caller]
fn call(cluster: &Cluster, user: &str, object: &[&str], method: &str, words: &[&str]) -> Output {
    let line = [&["busctl", "--system", "call"], object, &[method], words].concat();
    cluster.run_as(user, &line)
}

/// Asserts that the call was refused for lack of a right, and not because it was invalid.
#[track_caller]
fn refused(output: &Output) {
    output.assert_failure();
    let words = ["Access denied", "Permission denied", "Interactive authentication required"];
    let text = output.text();
    assert!(
        words.iter().any(|words| text.contains(words)),
        "it failed, but not for lack of a right\n{output}"
    );
}
