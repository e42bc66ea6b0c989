//! Units that changed, are broken, or are down. A rollout that cannot succeed is refused before it touches
//! the first worker. The commands in the message repair the cluster.

use promises::{Cluster, DEADLINE, Entry, Mode, Suite, Wire, monotonic_usec, wait_for};

promises::in_every_suite!(
    need_daemon_reload,
    a_drop_in_that_systemd_rejects,
    what_fails_before_the_program_is_named,
    socket_unit_stopped,
    socket_unit_failed,
    socket_unit_masked,
    systemctl_stop_mid_roll,
);

fn need_daemon_reload(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    // The check covers every worker, not only the first.
    for unit in ["worker@.service", "worker@3.service"] {
        cluster.edit(unit, "Service", &format!("Environment=OURS={unit}"));
        cluster.reloads_all();
        let file = format!("/etc/systemd/system/{unit}.d/50-promise.conf");
        cluster.write_file(&file, "[Service]\nEnvironment=OURS=changed\n");

        let begin = monotonic_usec();
        cluster.reloads_all();

        let told = cluster.logged(&["app-cluster"], begin);
        let warns =
            |entry: &Entry| entry.is_warning() && entry.message().contains("`systemctl daemon-reload`");
        assert!(told.iter().any(warns), "no warning says that systemd has not read {file}: {told:#?}");
        assert_eq!(environment(&cluster), unit, "systemd read {file} during the rollout");

        cluster.systemctl(["daemon-reload"]).assert_success();
        cluster.reloads_all();
        assert_eq!(environment(&cluster), "changed");
    }
    load.loses_nothing();
}

/// The value from the drop-in in the environment of worker@3.
fn environment(cluster: &Cluster) -> String {
    let pid = cluster.pids()[&3];
    cluster.shell(&format!("tr '\\0' '\\n' </proc/{pid}/environ | sed -n s/^OURS=//p")).stdout().to_owned()
}

fn a_drop_in_that_systemd_rejects(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    // Not the first worker: this must be found before the others are replaced.
    cluster.edit("worker@3.service", "Service", "ExecStart=");
    assert_eq!(cluster.show("worker@3.service", "LoadState"), "bad-setting");

    cluster.refuses_to_reload(&["worker@3", "systemd-analyze verify worker@3.service"]);

    cluster.revert("worker@3.service");
    cluster.reloads_all();
    load.loses_nothing();
}

/// The unit fails before systemd executes its program. The end of the previous process does not explain that,
/// but systemd's message does.
fn what_fails_before_the_program_is_named(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();
    for (line, how, words) in [
        (
            "EnvironmentFile=/etc/none.env",
            "failed before systemd could execute its program",
            "Failed to load environment files: No such file or directory",
        ),
        (
            "ExecStartPre=/bin/sh -c 'echo no key; exit 3'",
            "failed in ExecStartPre=, before its program",
            "Control process exited, code=exited, status=3/NOTIMPLEMENTED",
        ),
    ] {
        cluster.edit("worker@.service", "Service", line);
        let reload = cluster.app_cluster(["reload"]);
        reload.assert_exit_code(2).assert_says(how).assert_says(words).assert_says("worker@5");
        if line.contains("no key") {
            reload.assert_says("no key");
        }
        assert!(!reload.stderr().contains("exited with status"), "{reload}");
        assert_eq!(cluster.pids(), before);
    }
    // The same holds for a running worker that is killed.
    cluster.run(["systemctl", "kill", "-s", "KILL", "worker@2"]).assert_success();
    wait_for("the killed worker to fail in ExecStartPre=", DEADLINE, || {
        let status = cluster.status();
        let exit = status.workers.iter().find(|worker| worker.instance == 2).map(|w| w.last_exit.clone());
        match exit {
            Some(exit) if exit == "failed in ExecStartPre=, before its program" => Ok(()),
            exit => Err(format!("{exit:?}")),
        }
    });
    cluster.revert("worker@.service");
    cluster.reloads_all();
    cluster.assert_socket_is_whole();
}

fn socket_unit_stopped(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("app-cluster.socket", "Unit", "RefuseManualStop=no");
    the_refusal_tells_how_to_repair_the_socket(&cluster, "inactive", || {
        cluster.systemctl(["stop", "app-cluster.socket"]).assert_success();
    });
}

fn socket_unit_failed(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("worker@4.service", "Unit", "StartLimitIntervalSec=1h\nStartLimitBurst=3");
    the_refusal_tells_how_to_repair_the_socket(&cluster, "failed", || {
        // A worker's start limit stops what triggers it. The other workers continue to accept, because they
        // hold the listener too.
        while cluster.systemctl(["restart", "worker@4.service"]).status().success() {}
        cluster.revert("worker@4.service");
    });
}

fn socket_unit_masked(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["stop", "app-cluster.target", "app-cluster.service"]).assert_success();
    cluster.systemctl(["mask", "app-cluster.socket"]).assert_success();
    cluster.systemctl(["start", "--no-block", "app-cluster.service"]).assert_success();
    let told = "app-cluster.socket does not listen, and no worker runs: it is masked";
    wait_for("the status to name the mask", DEADLINE, || {
        let status = cluster.app_cluster(["status"]);
        if status.text().contains(told) { Ok(()) } else { Err(status) }
    });
    cluster.systemctl(["unmask", "app-cluster.socket"]).assert_success();
    cluster.until_whole();
}

#[track_caller]
fn the_refusal_tells_how_to_repair_the_socket(cluster: &Cluster, state: &str, spoil: impl Fn()) {
    let load = cluster.load(Mode::WithGaps);
    spoil();
    assert_eq!(cluster.show("app-cluster.socket", "ActiveState"), state);

    let refusal = cluster.refuses_to_reload(&["app-cluster.socket", state]);
    load.loses_nothing();

    let commands = quoted(&refusal);
    cluster.shell(commands).assert_success();
    cluster.until_it_answers();
    cluster.until_whole();
    cluster.reloads_all();
    cluster.assert_socket_is_whole();
}

/// The command in the message, which is between backticks.
#[track_caller]
fn quoted(told: &str) -> &str {
    told.split('`').nth(1).unwrap_or_else(|| panic!("the message names no command: {told}"))
}

fn systemctl_stop_mid_roll(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"2s\"\n");
    let before = cluster.pids();
    cluster.begin_reload();
    cluster.until_one_is_replaced(&before);
    let sleepers = cluster.begin_sleeps(8);

    cluster.systemctl(["stop", "app-cluster.service"]).assert_success();

    for unit in ["app-cluster", "worker@1", "worker@2", "worker@3", "worker@4", "worker@5"] {
        assert_eq!(cluster.show(unit, "ActiveState"), "inactive", "{unit}");
    }
    for mut wire in sleepers {
        let answer = wire.receive().expect("the request is answered");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // The next connection starts everything, and the operator has nothing left to do.
    let mut wire = Wire::open(&cluster).expect("the socket is there");
    assert_eq!(wire.get("/").expect("it is answered").status, 200);
    cluster.until_whole();
    wait_for("a status", DEADLINE, || cluster.try_status());
    cluster.reloads_all();
    cluster.assert_socket_is_whole();
}
