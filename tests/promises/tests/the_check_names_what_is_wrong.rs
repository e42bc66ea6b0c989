//! `app-cluster check` finds mistakes of an administrator, also those that are not visible from outside. It
//! names the file, the line and the repair.

use promises::{Cluster, DEADLINE, Machine, Output, Package, Suite, monotonic_usec, pass, wait_for};

promises::in_every_suite!(
    a_mistake_in_a_unit,
    a_file_that_the_services_user_cannot_use,
    units_that_systemd_has_not_read,
    a_listener_that_systemd_has_dropped,
    an_address_on_which_nothing_listens,
    an_orchestrator_that_cannot_start,
    an_orchestrator_that_cannot_start_at_the_installation,
);

/// A line that `systemctl edit` adds to a unit, and the message about it.
const MISTAKES: [(&str, &str, &str, &[&str]); 9] = [
    ("worker@.service", "Service", "Enviroment=A=b", &["systemd says", "write Environment=A=b"]),
    ("worker@2.service", "Service", "MemoryMx=1G", &["systemd says", "write MemoryMax=1G"]),
    ("worker@.service", "Service", "WatchdogSec=10x", &["systemd says", "write WatchdogSec=10s"]),
    ("worker@.service", "Service", "ExecStart=/bin/true", &["systemd says", "write an empty ExecStart="]),
    ("worker@.service", "Service", "MemoryMax=512", &["is 512 bytes", "write MemoryMax=512M"]),
    ("worker@.service", "Service", "User=none", &["there is no user none"]),
    ("worker@.service", "Service", "EnvironmentFile=/etc/none.env", &["/etc/none.env does not exist"]),
    ("app-cluster.socket", "Socket", "ListenStream=localhost:80", &["systemd says", "an address in figures"]),
    ("app-cluster.service", "Service", "ExecReload=/bin/true", &["beside `app-cluster reload`"]),
];

fn a_mistake_in_a_unit(suite: Suite) {
    let cluster = Cluster::installed(suite);
    is_sound(&cluster);
    for (unit, section, line, says) in MISTAKES {
        cluster.edit(unit, section, line);
        let (key, _) = line.split_once('=').expect("a line of a unit is KEY=VALUE");
        let place = format!("/etc/systemd/system/{unit}.d/50-promise.conf:2: [{section}] {key}: ");
        let told = told(&cluster, &place);
        assert!(says.iter().all(|words| told.contains(words)), "{says:?} is missing in {told}");
        cluster.revert(unit);
    }
    is_sound(&cluster);
}

fn a_file_that_the_services_user_cannot_use(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.shell("umask 077; echo 'workers = 4' >/etc/app-cluster/conf.d/60.toml").assert_success();
    told(&cluster, "/etc/app-cluster/conf.d/60.toml: user app-cluster cannot read it");
    cluster.shell("mv /etc/app-cluster/conf.d/60.toml /etc/app-cluster/conf.d/60.conf").assert_success();
    told(&cluster, "/etc/app-cluster/conf.d/60.conf: is not read");
    cluster.shell("rm /etc/app-cluster/conf.d/60.conf").assert_success();

    let program = "/srv/shop/worker";
    cluster.shell(&format!("install -D -m 0744 /bin/true {program}")).assert_success();
    cluster.edit("worker@.service", "Service", &format!("ExecStart=\nExecStart={program}"));
    told(&cluster, &format!("user app-cluster-worker cannot execute {program}"));
    cluster
        .shell("mount -t tmpfs -o noexec tmpfs /srv/shop && install -m 0755 /bin/true /srv/shop/worker")
        .assert_success();
    told(&cluster, &format!("{program} is on /srv/shop, which is mounted with noexec"));
    cluster.shell("mount -o remount,exec /srv/shop").assert_success();
    cluster.revert("worker@.service");
    is_sound(&cluster);

    // A user without rights gets no message that all is well.
    let limited = cluster.run_as("nobody", &["app-cluster", "check"]);
    limited.assert_success().assert_says("not checked: ").assert_says("no problems in what could be checked");
}

fn units_that_systemd_has_not_read(suite: Suite) {
    let cluster = Cluster::installed(suite);
    // On systemd 252 the first drop-in of a unit changes no property. For a socket unit, only a check of the
    // file shows whether reading it closes the listener.
    for (unit, cure) in [
        ("worker@.service", "systemctl daemon-reload"),
        ("worker@3.service", "systemctl daemon-reload"),
        ("app-cluster.socket", "app-cluster rebind"),
    ] {
        let file = format!("/etc/systemd/system/{unit}.d/50-promise.conf");
        cluster.write_file(&file, "[Unit]\nDescription=another\n");
        let told = told(&cluster, "systemd has not read the current files");
        assert!(told.contains(&file) && told.contains(&format!("`{cure}`")), "{told}");
        cluster.shell(cure).assert_success();
        is_sound(&cluster);
    }
}

fn a_listener_that_systemd_has_dropped(suite: Suite) {
    let cluster = Cluster::installed(suite);
    for verb in ["mask", "unmask"] {
        cluster.systemctl([verb, "app-cluster.socket"]).assert_success();
    }
    assert_eq!(
        cluster.show("app-cluster.socket", "ActiveState"),
        "active",
        "the fault is visible from outside"
    );
    cures(&cluster, "systemd does not listen on 127.0.0.1:8080 (workers that run serve 127.0.0.1:8080, ");
}

fn an_address_on_which_nothing_listens(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=\nListenStream=127.0.0.1:9090");
    cures(
        &cluster,
        "50-promise.conf:3: [Socket] ListenStream: systemd does not listen on 127.0.0.1:9090 (workers that run serve \
         127.0.0.1:8080, ",
    );
    let listening = cluster.shell("grep -c ' 0100007F:2382 00000000:0000 0A ' /proc/net/tcp");
    assert_eq!(listening.stdout(), "1", "no socket listens on port 9090");
}

/// Asserts that the commands in the check's message repair the cluster.
#[track_caller]
fn cures(cluster: &Cluster, problem: &str) {
    const CURE: &str = "app-cluster rebind";
    let told = told(cluster, problem);
    assert!(told.contains(&format!("write `{CURE}`")), "{told}");
    cluster.shell(CURE).assert_success();
    cluster.until_whole();
    is_sound(cluster);
}

/// Drop-ins with which no orchestrator starts: the step that systemd names, and what the message must name.
const OBSTACLES: [(&str, &str, &str); 2] = [
    ("BindPaths=/etc/passwd:/srv", "NAMESPACE failed (226)", "has to be allowed to nest"),
    ("StateDirectory=obstacle", "STATE_DIRECTORY failed (238)", "/var/lib/app-cluster has to be a directory"),
];

fn an_orchestrator_that_cannot_start(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let pids = cluster.pids();
    cluster.shell("echo >/var/lib/obstacle").assert_success();
    for (line, step, remedy) in OBSTACLES {
        cluster.edit("app-cluster.service", "Service", line);
        cluster.systemctl(["restart", "app-cluster.service"]).assert_failure();
        let told = until_told(&cluster, step);
        assert!(told.starts_with("app-cluster.service: ") && told.contains(remedy), "{told}");
        assert_eq!(cluster.pids(), pids, "workers need no orchestrator");
        cluster.revert("app-cluster.service");
        cluster.systemctl(["restart", "app-cluster.service"]).assert_success();
    }
    is_sound(&cluster);
    it_is_tried_seldom(&cluster);
}

/// There is a second between two attempts. Five per second would fill the journal.
fn it_is_tried_seldom(cluster: &Cluster) {
    cluster.edit("app-cluster.service", "Service", OBSTACLES[0].0);
    cluster.systemctl(["restart", "app-cluster.service"]).assert_failure();
    let begin = monotonic_usec();
    pass(std::time::Duration::from_secs(5));
    let seconds = (monotonic_usec() - begin).div_ceil(1_000_000);
    let tries: u64 = cluster.show("app-cluster.service", "NRestarts").parse().expect("NRestarts is a number");
    assert!((1..=seconds + 1).contains(&tries), "{tries} attempts in {seconds} s");
}

fn an_orchestrator_that_cannot_start_at_the_installation(suite: Suite) {
    let machine = Machine::boot(suite);
    let (line, step, _) = OBSTACLES[0];
    machine.write_file(
        "/etc/systemd/system/app-cluster.service.d/50-promise.conf",
        &format!("[Service]\n{line}\n"),
    );
    let said = machine.install(&Package::New.path());
    // dpkg does not fail for this reason: a half-installed package is harder to repair.
    said.assert_success()
        .assert_says("app-cluster: app-cluster.service does not come up: ")
        .assert_says(step);
}

#[track_caller]
fn is_sound(cluster: &Cluster) {
    cluster.app_cluster(["check"]).assert_success().assert_says("\nno problems");
}

/// The line of the check with these words. It must be the only problem.
#[track_caller]
fn told(cluster: &Cluster, words: &str) -> String {
    let output = cluster.app_cluster(["check"]);
    output.assert_exit_code(78);
    line_with(&output, words).unwrap_or_else(|| panic!("{words:?} is not the only problem: {output}"))
}

fn line_with(output: &Output, words: &str) -> Option<String> {
    let lines: Vec<_> = output.any_stdout().lines().collect();
    let [line, "1 problem"] = lines.as_slice() else { return None };
    line.contains(words).then(|| (*line).to_owned())
}

/// The same for a service that systemd tries to start again and again. Between two attempts it has no state
/// to show.
#[track_caller]
fn until_told(cluster: &Cluster, words: &str) -> String {
    wait_for("the check to name it", DEADLINE, || {
        let output = cluster.app_cluster(["check"]);
        line_with(&output, words).ok_or_else(|| output.to_string())
    })
}
