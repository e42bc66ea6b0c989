//! `kill -9` of the orchestrator between any two steps of a rollout: no worker stays stopped, nothing
//! is lost, and the next reload finishes the job.

use promises::{Cluster, DEADLINE, Mode, Suite, ci_or_full, wait_for};

use api::StepState::{self, Restarting, Settling};

promises::in_every_suite!(no_worker_stays_stopped_and_nothing_is_lost);

/// When the orchestrator dies: the worker that the rollout is at, in its order, and how far it is.
const MOMENTS: [(usize, StepState); 8] = [
    (0, Restarting),
    (1, Settling),
    (3, Restarting),
    (0, Settling),
    (1, Restarting),
    (2, Restarting),
    (2, Settling),
    (3, Settling),
];

fn no_worker_stays_stopped_and_nothing_is_lost(suite: Suite) {
    let cluster = Cluster::installed(suite);
    let load = cluster.load(Mode::WithGaps);
    for _ in 0..ci_or_full(1, 3) {
        for (step, state) in &MOMENTS[..ci_or_full(3, 8)] {
            println!("{suite}: the orchestrator dies when step {step} is {state:?}");
            kill_it_when(&cluster, *step, *state);
        }
    }
    kill_it_again_and_again(&cluster);
    load.loses_nothing();
    cluster.assert_socket_is_whole();
}

fn kill_it_when(cluster: &Cluster, step: usize, state: StepState) {
    cluster.configure("workers = 4\n[rollout]\nsettle = \"2s\"\n");
    // Idle connections make a drain take as long as it lingers, so that the moment can be met.
    let idle = cluster.wires_to_all();
    let before = cluster.pids();
    cluster.begin_reload();
    wait_for("the moment", DEADLINE, || {
        let rollout = cluster.status().rollout.pop();
        let steps = rollout.filter(|r| r.state == api::RolloutState::Running).map(|r| r.steps);
        if steps.as_ref().is_some_and(|steps| steps[step].state == state) {
            return Ok(());
        }
        Err(format!("{steps:?}"))
    });
    cluster.orchestrator().kill();
    drop(idle);

    let after = cluster.until_whole();
    assert_one_orchestrator(cluster);
    let untouched = after.iter().filter(|(instance, pid)| before[*instance] == **pid).count();
    println!("    {untouched} of 4 workers had not been replaced");

    cluster.configure("workers = 4\n[rollout]\nsettle = \"200ms\"\n");
    cluster.reload();
    let finished = cluster.pids();
    assert!(finished.iter().all(|(instance, pid)| after[instance] != *pid), "{after:?}, then {finished:?}");
}

/// At whatever moment it happens to be.
fn kill_it_again_and_again(cluster: &Cluster) {
    for _ in 0..ci_or_full(5, 30) {
        cluster.begin_reload();
        cluster.orchestrator().kill();
        wait_for("another orchestrator", DEADLINE, || match cluster.orchestrator_pid() {
            0 => Err("none"),
            _ => Ok(()),
        });
    }
    cluster.until_whole();
    assert_one_orchestrator(cluster);
    let before = cluster.pids();
    cluster.reload();
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
}

/// It is there, it is ready, and it is alone.
#[track_caller]
fn assert_one_orchestrator(cluster: &Cluster) {
    cluster.until_at_rest();
    let processes = cluster.run(["pgrep", "--full", "^/usr/libexec/app-cluster/orchestrator"]);
    assert_eq!(processes.stdout(), cluster.orchestrator_pid().to_string(), "{processes}");
}
