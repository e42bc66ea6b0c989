//! The bus or polkit is down, or polkit refuses. A rollout is refused before it touches the first worker, and
//! the message says what to fix. Another promise covers the bus during a rollout:
//! `bus_and_manager_come_back`.

use std::time::{Duration, Instant};

use promises::{Cluster, DEADLINE, Mode, Process, Suite, wait_for};

promises::in_every_suite!(
    polkit_is_gone,
    polkit_refuses,
    polkit_does_not_answer,
    a_rollout_that_polkit_holds_up_is_withdrawn,
    the_bus_is_gone,
);

/// What a look takes at most while polkit hangs, with the start of its process in the machine.
const PROMISED: Duration = Duration::from_millis(50);
/// The exit status if the bus or the orchestrator cannot be reached.
const UNREACHABLE: i32 = 75;

fn polkit_is_gone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    cluster.systemctl(["mask", "--runtime", "--now", "polkit.service"]).assert_success();

    cluster.refuses_to_reload(&["polkit", "systemctl"]);

    cluster.systemctl(["unmask", "--runtime", "polkit.service"]).assert_success();
    cluster.reloads_all();
    load.loses_nothing();
}

fn polkit_refuses(suite: Suite) {
    const RULE: &str = "/etc/polkit-1/rules.d/10-ours.rules";
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    cluster.write_file(
        RULE,
        "polkit.addRule(function(action, subject) {\n\
         \x20   if (action.id == \"org.freedesktop.systemd1.manage-units\") { return polkit.Result.NO; }\n\
         });\n",
    );
    cluster.run(["chmod", "a+rX", "/etc/polkit-1", "/etc/polkit-1/rules.d", RULE]).assert_success();
    cluster.systemctl(["restart", "polkit.service"]).assert_success();

    cluster.refuses_to_reload(&["polkit", "app-cluster.rules"]);

    cluster.run(["rm", RULE]).assert_success();
    cluster.systemctl(["restart", "polkit.service"]).assert_success();
    cluster.reloads_all();
    load.loses_nothing();
}

/// The orchestrator waits for polkit in the middle of a rollout. A client that only reads does not wait.
fn polkit_does_not_answer(suite: Suite) {
    let cluster = Cluster::installed(suite);
    cluster.systemctl(["reload", "--no-block", "app-cluster"]).assert_success();
    wait_for("the rollout to take a worker", DEADLINE, || {
        let status = cluster.status();
        let is_taken = |step: &api::Step| step.state != api::StepState::Waiting;
        let is_under_way = status.rollout.iter().any(|rollout| rollout.steps.iter().any(is_taken));
        if is_under_way { Ok(()) } else { Err(status.summary) }
    });
    let polkit = polkit(&cluster);
    polkit.pause();
    let begun = Instant::now();
    let mut took: Vec<Duration> = Vec::new();
    // Longer than the settle of a worker, so that the orchestrator asks for the next one.
    while begun.elapsed() < Duration::from_secs(4) {
        for command in ["status", "releases"] {
            let asked = Instant::now();
            cluster.app_cluster([command]).assert_success();
            took.push(asked.elapsed());
        }
    }
    polkit.resume();
    // The others wait for a processor that other tests have.
    took.sort();
    println!(
        "{suite}: {} looks, the fastest took {:?}, half of them {:?}",
        took.len(),
        took[0],
        took[took.len() / 2]
    );
    assert!(took[0] < PROMISED, "even the fastest look took {:?}", took[0]);
    assert!(took.last().is_some_and(|slowest| *slowest < Duration::from_secs(3)), "{took:?}");
    cluster.until_whole();
}

/// systemd asks polkit whether the orchestrator may stop workers. The rollout cannot begin before the answer.
fn a_rollout_that_polkit_holds_up_is_withdrawn(suite: Suite) {
    const HAS_NOT_BEGUN: &str = "has not begun: systemd has not said yet";
    let cluster = Cluster::installed(suite);
    cluster.reload();
    let (before, rollouts) = (cluster.pids(), cluster.history().len());
    let polkit = polkit(&cluster);
    polkit.pause();
    let until_shown = || {
        wait_for("the rollout that waits", DEADLINE, || {
            let status = cluster.app_cluster(["status"]);
            if status.text().contains(HAS_NOT_BEGUN) { Ok(()) } else { Err(status) }
        });
    };

    cluster.systemctl(["reload", "--no-block", "app-cluster"]).assert_success();
    until_shown();
    cluster.app_cluster(["abort"]).assert_success().assert_says("withdrawn before it began");

    let interrupted = cluster.begin("interrupted", &["app-cluster", "reload"]);
    until_shown();
    interrupted.signal("SIGINT");
    let begun = Instant::now();
    wait_for("the withdrawal", DEADLINE, || {
        let said = cluster.journal(["-u", "interrupted.service", "-o", "cat"]);
        if said.contains("is withdrawn before it began") { Ok(()) } else { Err(said) }
    });
    polkit.resume();
    println!("{suite}: Ctrl-C withdrew it after {:?}", begun.elapsed());

    cluster.reloads_all();
    assert_eq!(cluster.history().len(), rollouts + 1, "a rollout that was withdrawn began");
    assert!(cluster.pids() != before);
}

fn polkit(cluster: &Cluster) -> Process {
    Process::of(cluster, cluster.show("polkit.service", "MainPID").parse().expect("polkit runs"))
}

fn the_bus_is_gone(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    cluster.systemctl(["stop", "dbus.socket", "dbus.service"]).assert_success();

    cluster.does_not_reload(UNREACHABLE, &["system bus", "systemctl status dbus"]);

    cluster.systemctl(["start", "dbus.socket", "dbus.service"]).assert_success();
    wait_for("the orchestrator to be back on the bus", DEADLINE, || cluster.try_status());
    cluster.reloads_all();
    load.loses_nothing();
}
