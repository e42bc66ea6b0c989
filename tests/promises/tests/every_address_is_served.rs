//! A socket unit has several addresses, or a new one, or one that does not exist yet. Every worker serves
//! each address as soon as systemd listens there.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use promises::{Cluster, DEADLINE, Mode, Process, Suite, Wire, wait_for};

promises::in_every_suite!(
    also_in_a_reload,
    after_a_rebind,
    after_a_stop_and_a_start,
    a_rebind_that_cannot_end_well_is_refused,
    an_address_that_is_taken_is_named_and_heals,
    an_address_that_comes_late_is_named_and_heals,
);

/// As an administrator adds them with `systemctl edit app-cluster.socket`.
const ADDED: &str =
    "ListenStream=[::1]:8081\nListenStream=/run/app-cluster-http.sock\nSocketMode=0660\nSocketGroup=www-data";
const UNIX: &str = "/run/app-cluster-http.sock";

fn also_in_a_reload(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("app-cluster.socket", "Socket", ADDED);
    cluster.systemctl(["restart", "app-cluster.target"]).assert_success();
    cluster.until_whole();
    cluster.until_at_rest();
    cluster.run(["stat", "-c", "%a %G", UNIX]).assert_says("660 www-data");

    let load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    let is_over = AtomicBool::new(false);
    let (ipv6, unix) = thread::scope(|scope| {
        let ask = |open: fn(&Cluster) -> io::Result<Wire>| {
            let mut answers = 0;
            while !is_over.load(Ordering::Relaxed) {
                let answer = open(&cluster).and_then(|mut wire| wire.get("/"));
                assert_eq!(answer.expect("each request is answered").status, 200);
                answers += 1;
            }
            answers
        };
        let ipv6 = scope
            .spawn(move || ask(|cluster| Wire::open_at(cluster, ([0, 0, 0, 0, 0, 0, 0, 1], 8081).into())));
        let unix = scope.spawn(move || ask(|cluster| Wire::open_unix(cluster, UNIX)));
        cluster.reload();
        is_over.store(true, Ordering::Relaxed);
        (ipv6.join().expect("no panic"), unix.join().expect("no panic"))
    });
    let after = cluster.pids();
    assert!(before.iter().all(|(instance, pid)| after[instance] != *pid), "{before:?}, then {after:?}");
    assert!(ipv6 > 100 && unix > 100, "{ipv6} requests to IPv6, {unix} to the unix socket");
    load.loses_nothing();

    // A removed address is refused once the workers that had its listener have ended.
    cluster.edit("app-cluster.socket", "Socket", "");
    cluster.app_cluster(["check"]).assert_success().assert_says("workers still serve [::1]:8081");
    cluster.app_cluster(["rebind"]).assert_success().assert_says("systemctl reload app-cluster");
    cluster.reload();
    let ipv6 = Wire::open_at(&cluster, ([0, 0, 0, 0, 0, 0, 0, 1], 8081).into());
    assert_eq!(ipv6.expect_err("no worker serves there").kind(), io::ErrorKind::ConnectionRefused);
}

/// Another port than the cluster's, which two commands then move.
const MOVED: &str = "ListenStream=\nListenStream=127.0.0.1:9090";

/// The file that `cluster.edit` writes before systemd reads it.
const DROP_IN: &str = "/etc/systemd/system/app-cluster.socket.d/50-promise.conf";

fn after_a_rebind(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.app_cluster(["rebind"]).assert_success().assert_says("nothing to do");

    cluster.edit("app-cluster.socket", "Socket", MOVED);
    let check = cluster.app_cluster(["check"]);
    check
        .assert_exit_code(78)
        .assert_says("does not listen on 127.0.0.1:9090")
        .assert_says("app-cluster rebind");
    until_status_says(&cluster, "names 127.0.0.1:9090, where systemd does not listen");
    let before = cluster.pids();
    cluster.app_cluster(["reload"]).assert_exit_code(4).assert_says("app-cluster rebind");
    // The file names the old address again, but systemd has closed its listener.
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=\nListenStream=127.0.0.1:8080");
    until_status_says(&cluster, "names 127.0.0.1:8080, where systemd does not listen");
    cluster.edit("app-cluster.socket", "Socket", MOVED);
    assert_eq!(cluster.pids(), before);
    assert!(ask(&cluster, 8080).is_ok(), "the running workers still serve the old address");
    Process::of(&cluster, cluster.worker(1).pid).kill();
    cluster.until_worker(1, "to have failed without a listener", |worker| worker.active == "failed");

    cluster.app_cluster(["rebind"]).assert_success().assert_says("systemd listens on 127.0.0.1:9090");
    cluster.until_whole();
    ask(&cluster, 9090).expect("the new address is served");
    ask(&cluster, 8080).expect_err("the old address is not served");
    cluster.reload();
    cluster.app_cluster(["check"]).assert_success();
    assert!(!cluster.app_cluster(["status"]).text().contains("does not listen"));

    // The port is in use, but by the cluster itself.
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=\nListenStream=0.0.0.0:9090");
    cluster.app_cluster(["rebind"]).assert_success().assert_says("systemd listens on 0.0.0.0:9090");
    cluster.until_whole();
    ask(&cluster, 9090).expect("it is served on every address");

    cluster.systemctl(["stop", "app-cluster.target"]).assert_success();
    cluster.write_file(DROP_IN, "[Socket]\nListenStream=\nListenStream=9191\n");
    cluster.app_cluster(["check"]).assert_exit_code(78).assert_says("app-cluster rebind");
    cluster.app_cluster(["rebind"]).assert_success().assert_says("is stopped; once it starts");
    assert_eq!(cluster.show("app-cluster.target", "ActiveState"), "inactive");
    cluster.systemctl(["start", "app-cluster.target"]).assert_success();
    cluster.until_whole();
    ask(&cluster, 9191).expect("the address in the file is served, without a daemon-reload");
}

/// A stop of the target returns before its parts have stopped. The start that follows makes systemd keep the
/// socket unit that was stopping. The socket then has no listener, because its address has changed.
fn after_a_stop_and_a_start(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=\nListenStream=127.0.0.1:9292");
    cluster.systemctl(["stop", "app-cluster"]).assert_success();
    let told =
        "all workers are stopped; app-cluster.socket names 127.0.0.1:9292, where systemd does not listen";
    wait_for("the stop to be told", DEADLINE, || {
        let journal = cluster.run(["journalctl", "--no-pager", "-o", "cat", "-u", "app-cluster"]);
        if journal.text().contains(told) { Ok(()) } else { Err(journal) }
    });
    for port in [9090, 9191, 9090, 9191, 9090] {
        cluster.edit(
            "app-cluster.socket",
            "Socket",
            &format!("ListenStream=\nListenStream=127.0.0.1:{port}"),
        );
        let typed = "systemctl stop app-cluster.target && systemctl start app-cluster.target";
        cluster.run(["sh", "-c", typed]).assert_success();
        wait_for("the new address to be served", DEADLINE, || ask(&cluster, port));
        cluster.until_whole();
        cluster.app_cluster(["check"]).assert_success();
    }
}

/// The new address belongs to another program, does not exist, or cannot be checked, or a rollout is in
/// progress. In each case nothing is stopped.
fn a_rebind_that_cannot_end_well_is_refused(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let canary = ["deploy", "/usr/lib/app-cluster/release", "--id", "trial", "--canary", "1"];
    cluster.app_cluster(canary).assert_success();
    cluster.app_cluster(["rebind"]).assert_exit_code(4).assert_says("a rollout is running");
    cluster.app_cluster(["abort"]).assert_success();

    let rebind =
        || cluster.app_cluster(["rebind"]).assert_exit_code(4).assert_says("nothing was stopped").clone();
    // systemd has not read it yet. Reading it would close the current listener and open none.
    let unseen = "[Socket]\nListenStream=\nListenStream=/run/%H.sock\n";
    cluster.write_file(DROP_IN, unseen);
    rebind().assert_says("cannot tell whether systemd listens on /run/%H.sock");
    let killed = cluster.worker(1).pid;
    Process::of(&cluster, killed).kill();
    cluster.until_worker(1, "to be replaced", |worker| worker.is_ready() && worker.pid != killed);

    let before = cluster.pids();
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=\nListenStream=127.0.0.1:99999");
    cluster
        .app_cluster(["rebind"])
        .assert_exit_code(78)
        .assert_says("99999")
        .assert_says("nothing was stopped");
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=%t/app-cluster/boot");
    rebind().assert_says("the file there is not a socket");
    squat(&cluster, "127.0.0.1:9090");
    cluster.edit("app-cluster.socket", "Socket", MOVED);
    rebind().assert_says("127.0.0.1:9090: another program listens there");
    // Another program has one address of the cluster's own port.
    cluster.systemctl(["stop", "squatter.service"]).assert_success();
    squat(&cluster, "127.0.0.2:8080");
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=127.0.0.2:8080");
    rebind().assert_says("127.0.0.2:8080: another program listens there");
    cluster.systemctl(["stop", "squatter.service"]).assert_success();
    for (addresses, why) in [
        ("ListenStream=0.0.0.0:8080", "127.0.0.1:8080 and 0.0.0.0:8080 at once"),
        ("ListenStream=192.0.2.7:8080", "192.0.2.7:8080: this machine has no such address"),
    ] {
        cluster.edit("app-cluster.socket", "Socket", addresses);
        rebind().assert_says(why);
    }
    cluster.edit("app-cluster.socket", "Socket", "ListenStream=127.0.0.2:8080");
    // Another socket unit has the address: PID 1 listens there, but not for the cluster.
    let other = "[Socket]\nListenStream=127.0.0.2:8080\n[Unit]\nDescription=Another\n";
    cluster.write_file("/run/systemd/system/another.socket", other);
    cluster.write_file("/run/systemd/system/another.service", "[Service]\nExecStart=/bin/true\n");
    cluster.systemctl(["daemon-reload"]).assert_success();
    cluster.systemctl(["start", "another.socket"]).assert_success();
    rebind().assert_says("127.0.0.2:8080: another program listens there");
    assert_eq!(cluster.pids(), before);
    ask(&cluster, 8080).expect("the running workers serve the old address");
}

/// The port is in use when the package is installed. apt says so, and the cluster starts when the port is
/// free.
fn an_address_that_is_taken_is_named_and_heals(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.apt(["remove", "app-cluster"]).assert_success();
    squat(&cluster, "127.0.0.1:8080");
    let why = "app-cluster.socket does not listen, and no worker runs: Failed to create listening socket \
               (127.0.0.1:8080): Address already in use";
    cluster.install(&promises::Package::New.path()).assert_success().assert_says(why);
    // While systemd restarts the orchestrator, its last message is missing for a moment.
    wait_for("status to name the address", DEADLINE, || {
        let status = cluster.app_cluster(["status"]);
        let named = status.assert_exit_code(75).text().contains(why);
        if named { Ok(()) } else { Err(status) }
    });
    // An orchestrator that pauses before it gives up is not on the bus, so the status must not say
    // "stopping".
    for _ in 0..40 {
        cluster.app_cluster(["status"]).assert_exit_code(75);
    }

    cluster.systemctl(["stop", "squatter.service"]).assert_success();
    cluster.until_whole();
    ask(&cluster, 8080).expect("the cluster serves once the port is free");
}

/// `systemctl status` and `app-cluster status` both say it soon after systemd has read the unit.
fn until_status_says(cluster: &Cluster, words: &str) {
    wait_for(words, DEADLINE, || {
        let status = cluster.show("app-cluster.service", "StatusText");
        if status.contains(words) { Ok(()) } else { Err(status) }
    });
    cluster.app_cluster(["status"]).assert_success().assert_says(words);
}

/// The machine gets the address after the cluster has started, as from a slow network.
fn an_address_that_comes_late_is_named_and_heals(suite: Suite) {
    const LATE: &str = "192.0.2.7";
    let cluster = Cluster::installed(suite);
    cluster.edit("app-cluster.socket", "Socket", &format!("ListenStream=\nListenStream={LATE}:8080"));
    cluster.app_cluster(["rebind"]).assert_exit_code(4).assert_says("this machine has no such address");
    cluster.systemctl(["restart", "app-cluster.target"]).assert_success();
    let why = format!("Failed to create listening socket ({LATE}:8080): Cannot assign requested address");
    wait_for("status to say why", DEADLINE, || {
        let status = cluster.app_cluster(["status"]);
        if status.text().contains(&why) { Ok(()) } else { Err(status) }
    });
    cluster.run(["ip", "address", "add", &format!("{LATE}/32"), "dev", "lo"]).assert_success();
    cluster.until_whole();
    let answer = Wire::open_at(&cluster, ([192, 0, 2, 7], 8080).into()).and_then(|mut wire| wire.get("/"));
    assert_eq!(answer.expect("the cluster serves once the address exists").status, 200);
}

/// Makes another program listen on the address.
fn squat(cluster: &Cluster, address: &str) {
    let listen = ["systemd-socket-activate", "--listen", address, "/bin/true"];
    cluster.run([&["systemd-run", "--unit=squatter"][..], &listen].concat()).assert_success();
    wait_for("another program to listen", DEADLINE, || {
        let listening = cluster.run(["ss", "-Hltn", "src", address]);
        if listening.stdout().is_empty() { Err("it does not listen") } else { Ok(()) }
    });
}

fn ask(cluster: &Cluster, port: u16) -> io::Result<()> {
    let answer = Wire::open_at(cluster, ([127, 0, 0, 1], port).into())?.get("/")?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(())
}
