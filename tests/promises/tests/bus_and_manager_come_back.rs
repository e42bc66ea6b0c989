//! During a rollout systemd reloads or re-executes itself, or the bus stops and returns. No worker stays
//! stopped, no request is lost, and the next reload completes the rollout.

use std::time::{Duration, Instant};

use promises::{Cluster, DEADLINE, Mode, Process, Suite, assert_only_cut, wait_for};

promises::in_every_suite!(
    after_a_daemon_reload,
    after_a_daemon_reexec,
    after_a_restart_of_the_bus,
    after_a_death_of_the_bus,
    after_a_pause_of_the_manager,
    after_a_pause_of_the_journal,
);

fn after_a_daemon_reload(suite: Suite) {
    during_a_rollout(suite, |cluster| {
        cluster.systemctl(["daemon-reload"]).assert_success();
    });
}

fn after_a_daemon_reexec(suite: Suite) {
    during_a_rollout(suite, |cluster| {
        cluster.systemctl(["daemon-reexec"]).assert_success();
    });
}

fn after_a_restart_of_the_bus(suite: Suite) {
    during_a_rollout(suite, |cluster| {
        cluster.systemctl(["restart", "dbus.service"]).assert_success();
    });
}

fn after_a_death_of_the_bus(suite: Suite) {
    during_a_rollout(suite, |cluster| {
        Process::of(cluster, cluster.main_pid("dbus.service")).kill();
    });
}

/// PID 1 reads no messages for longer than the watchdog allows. The workers serve and are not killed.
fn after_a_pause_of_the_manager(suite: Suite) {
    const PAUSE: Duration = Duration::from_secs(15);
    let cluster = Cluster::installed(suite);
    let before = cluster.pids();
    let mut load = cluster.load(Mode::WithGaps);
    load.until_more(100);
    let manager = Process::of(&cluster, 1);
    manager.pause();
    let until = Instant::now() + PAUSE;
    while Instant::now() < until {
        load.until_more(100);
    }
    manager.resume();
    cluster.until_whole();
    assert_eq!(cluster.pids(), before, "a worker was restarted");
    cluster.reload();
    load.loses_nothing();
}

/// journald does not read, until no socket takes any more lines. This delays no request, no drain and no
/// start.
fn after_a_pause_of_the_journal(suite: Suite) {
    const FILL: &str =
        "printf 'MESSAGE=filler\\n' > /tmp/filler; while timeout 1 logger --journald=/tmp/filler; do :; done";
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::WithGaps);
    let journal = Process::of(&cluster, cluster.main_pid("systemd-journald.service"));
    journal.pause();
    cluster.shell(FILL).assert_success();
    let before = cluster.pids();
    let held = cluster.connections_of(before[&2]);
    Process::of(&cluster, before[&2]).kill();
    cluster.until_worker(2, "to be replaced", |worker| worker.is_ready() && worker.pid != before[&2]);
    cluster.reload();
    let after = cluster.pids();
    load.until_more(500);
    journal.resume();
    assert!(before.iter().all(|(instance, pid)| after[instance] != *pid), "{before:?}, then {after:?}");
    assert_only_cut(&load.stop(), before[&2], held);
}

#[track_caller]
fn during_a_rollout(suite: Suite, disturb: impl Fn(&Cluster)) {
    let cluster = Cluster::installed(suite);
    let mut load = cluster.load(Mode::WithGaps);
    let before = cluster.pids();
    cluster.begin_reload();
    cluster.until_worker(1, "to be replaced", |worker| worker.is_ready() && worker.pid != before[&1]);

    disturb(&cluster);

    wait_for("the end of the rollout, well or not", DEADLINE, || {
        let state = cluster.show("app-cluster.service", "ActiveState");
        let status = cluster.try_status()?;
        let runs = status.rollout.iter().any(|rollout| rollout.state == api::RolloutState::Running);
        if state == "active" && !runs { Ok(()) } else { Err(format!("{state}, {}", status.summary)) }
    });
    let between = cluster.until_whole();

    cluster.until_at_rest();
    cluster.reload();
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| between[instance] != *pid), "{between:?}, then {after:?}");
    load.until_more(500);
    load.loses_nothing();

    // The orchestrator still notices what happens by itself.
    Process::of(&cluster, after[&4]).kill();
    cluster.until_worker(4, "to be replaced", |worker| worker.is_ready() && worker.pid != after[&4]);
    wait_for("the orchestrator to notice a crash", DEADLINE, || {
        let status = cluster.try_status()?;
        let worker = status.workers.iter().find(|worker| worker.instance == 4);
        match worker {
            Some(worker) if worker.restarts == 1 && worker.pid == cluster.worker(4).pid => Ok(()),
            worker => Err(format!("{worker:?}")),
        }
    });
}
