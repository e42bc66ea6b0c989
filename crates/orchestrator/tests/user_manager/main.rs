//! Tests the orchestrator with a real systemd: a private user manager, which starts in a tenth of a second.
//!
//! The tests need root (for a mount namespace), systemd and dbus-daemon. The tests in booted machines cover
//! packages, polkit, the journal and real load.

mod session;

use session::Session;

#[test]
fn brings_the_workers_up_and_rolls_all_of_them() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let before = session.pids([1, 2, 3]);
    session.systemctl(&["kill", "--signal=HUP", "app-cluster.service"]).expect("SIGHUP is sent");
    session.wait_until("three new processes", || {
        let now = session.pids([1, 2, 3]);
        let all_new = now.iter().zip(&before).all(|(now, before)| now != before && now != "0");
        if all_new { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
    });
    session.wait_for_status("3 of 3 ready");
}

#[test]
fn an_orchestrator_that_was_killed_leaves_workers_alone_and_its_successor_adopts_them() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let (workers, orchestrator) = (session.pids([1, 2, 3]), session.show("app-cluster.service", "MainPID"));
    session.systemctl(&["kill", "--signal=KILL", "app-cluster.service"]).expect("SIGKILL is sent");
    session.wait_until("another orchestrator", || {
        let now = session.show("app-cluster.service", "MainPID");
        if now != orchestrator && now != "0" { Ok(()) } else { Err(now) }
    });
    session.wait_for_status("3 of 3 ready");
    assert_eq!(session.pids([1, 2, 3]), workers);
    assert!(session.log().contains("found 3 running workers"), "{}", session.log());
}

#[test]
fn a_worker_that_ends_by_itself_is_started_again_and_one_that_is_stopped_is_not() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let [before] = session.pids([1]);
    session.run(&["touch", "/run/exit-1"]).expect("the file is made");
    session.wait_until("a new worker@1", || {
        let [now] = session.pids([1]);
        if now != before && now != "0" { Ok(()) } else { Err(now) }
    });
    session.systemctl(&["stop", "worker@2.service"]).expect("worker@2 stops");
    session.wait_for_status("2 of 3 ready");

    session.systemctl(&["kill", "--signal=USR2", "app-cluster.service"]).expect("SIGUSR2 is sent");
    session.wait_until("the end of the rollout", || {
        let log = session.log();
        if log.contains("done: 2 of 2 replaced") { Ok(()) } else { Err(log) }
    });
    assert_eq!(session.show("worker@2.service", "ActiveState"), "inactive");

    session.systemctl(&["start", "worker@2.service"]).expect("worker@2 starts");
    session.wait_for_status("3 of 3 ready");
}

#[test]
fn a_worker_that_fails_ends_the_rollout_and_the_others_stay_untouched() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let before = session.pids([1, 2, 3]);
    session.run(&["touch", "/run/fail"]).expect("the file is made");
    session.systemctl(&["kill", "--signal=HUP", "app-cluster.service"]).expect("SIGHUP is sent");
    session.wait_for_status("the last rollout failed: worker@4.service failed before it was ready");
    assert_eq!(session.pids([1, 2, 3]), before);
    assert_eq!(session.show("worker@4.service", "MainPID"), "0");
    session.run(&["rm", "/run/fail"]).expect("the file is removed");
    session.wait_for_status("3 of 3 ready");
}

#[test]
fn workers_that_do_not_count_are_compared_with_nobody_and_that_is_told_once() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let limits = "mkdir /run/app-cluster/conf.d; \
                  echo 'rollout.max_error_ratio = 0.05' >/run/app-cluster/conf.d/50-limits.toml";
    session.run(&["sh", "-c", limits]).expect("the limit is set");
    session.systemctl(&["kill", "--signal=HUP", "app-cluster.service"]).expect("SIGHUP is sent");
    session.wait_until("the end of the rollout", || {
        let log = session.log();
        if log.contains("done: 3 of 3 replaced") { Ok(()) } else { Err(log) }
    });
    let log = session.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("was not compared")).collect();
    assert!(
        matches!(told[..], [told] if told.contains("worker@4 ") && told.contains("board.v1: No such file")),
        "{log}"
    );
}

#[test]
fn stopping_the_orchestrator_stops_the_workers_and_restarting_it_does_not() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let before = session.pids([1, 2, 3]);
    session.systemctl(&["restart", "app-cluster.service"]).expect("the orchestrator restarts");
    assert_eq!(session.pids([1, 2, 3]), before);
    session.systemctl(&["stop", "app-cluster.service"]).expect("the cluster stops");
    for n in 1..=3 {
        assert_eq!(session.show(&format!("worker@{n}.service"), "ActiveState"), "inactive");
    }
    assert_eq!(session.show("app-cluster.socket", "ActiveState"), "active");
}

#[test]
fn clients_read_the_state_and_act_over_the_bus() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let call = |member: &str, arguments: &[&str]| {
        let mut words = vec!["busctl", "--address=unix:path=/run/user/0/bus", "call"];
        words.extend(["org.appcluster1", "/org/appcluster1", "org.appcluster1", member]);
        words.extend(arguments);
        session.run(&words)
    };
    let status = call("Status", &[]).expect("the status is read");
    assert!(status.contains("\"3 of 3 ready") && status.contains("\"worker@3.service\""), "{status}");
    let refused = call("Pause", &[]).expect_err("nothing is paused");
    assert!(refused.contains("no rollout is running"), "{refused}");
    let id = call("Reload", &["s", "ada"]).expect("a rollout begins");
    session.wait_until("the rollout in the history", || {
        let history = call("History", &[])?;
        let id = id.trim_start_matches("t ");
        let is_done = history.contains(id) && history.contains("\"ada\"") && history.contains("\"done\"");
        if is_done { Ok(()) } else { Err(history) }
    });
}

#[test]
fn a_bus_that_is_started_anew_is_found_again() {
    let session = Session::with_cluster();
    session.wait_for_status("3 of 3 ready");
    let before = session.pids([1, 2, 3]);
    session.systemctl(&["kill", "--signal=KILL", "dbus.service"]).expect("the bus is killed");
    session.wait_until("the end of the connection", || {
        let log = session.log();
        if log.contains("the system bus is gone") { Ok(()) } else { Err(log) }
    });
    session.systemctl(&["restart", "dbus.service"]).expect("the bus starts");
    let read = ["busctl", "--address=unix:path=/run/user/0/bus", "get-property"];
    let read = [&read[..], &["org.appcluster1", "/org/appcluster1", "org.appcluster1", "Ready"]].concat();
    session.wait_until("the service on the new bus", || {
        let ready = session.run(&read)?;
        if ready == "u 3" { Ok(()) } else { Err(ready) }
    });
    session.systemctl(&["kill", "--signal=HUP", "app-cluster.service"]).expect("SIGHUP is sent");
    session.wait_until("three new processes", || {
        let now = session.pids([1, 2, 3]);
        let all_new = now.iter().zip(&before).all(|(now, before)| now != before && now != "0");
        if all_new { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
    });
}
