//! The clock jumps during a rollout, as after NTP or a suspend. Nothing changes for clients and operators.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promises::{Cluster, Mode, Suite};

promises::in_one_suite!(bookworm: clock_jumps_ahead_mid_roll, clock_jumps_back_mid_roll);

fn clock_jumps_ahead_mid_roll(suite: Suite) {
    clock_jumps_mid_roll(suite, NOW, IN_THREE_DAYS);
}

fn clock_jumps_back_mid_roll(suite: Suite) {
    clock_jumps_mid_roll(suite, IN_THREE_DAYS, NOW);
}

/// The file with the orchestrator's time (faketime(1)). The machines share the host's clock, so the test does
/// not set it. Only the realtime clock ever jumps.
const CLOCK: &str = "/etc/made-up-clock";
const NOW: &str = "+0";
const IN_THREE_DAYS: &str = "+3d";

#[track_caller]
fn clock_jumps_mid_roll(suite: Suite, from: &str, to: &str) {
    let cluster = Cluster::installed(suite);
    cluster.configure("workers = 4\n[rollout]\nsettle = \"1s\"\n");
    cluster.write_file(CLOCK, from);
    let library = cluster.shell("ls /usr/lib/*/faketime/libfaketime.so.1");
    let environment = format!(
        "Environment=LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1",
        library.stdout()
    );
    cluster.edit("app-cluster.service", "Service", &environment);
    cluster.systemctl(["restart", "app-cluster"]).assert_success();
    let load = cluster.load(Mode::WithGaps);

    let before = cluster.pids();
    cluster.begin_reload();
    cluster.until_one_is_replaced(&before);
    cluster.write_file(CLOCK, to);
    cluster.until_at_rest();
    let over_the_jump = last_rollout(&cluster);
    assert_eq!(over_the_jump.state, api::RolloutState::Done, "{over_the_jump:?}");
    let after = cluster.pids();
    assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");

    cluster.reloads_all();
    let next = last_rollout(&cluster);
    assert_eq!(next.state, api::RolloutState::Done, "{next:?}");
    assert!(next.id > over_the_jump.id, "the ids of rollouts go back with the clock");
    let is_ahead = [&over_the_jump, &next].map(began_in_the_future);
    assert_eq!(is_ahead, [from == IN_THREE_DAYS, true], "the orchestrator did not see the jump");
    load.loses_nothing();
}

#[track_caller]
fn last_rollout(cluster: &Cluster) -> api::Rollout {
    cluster.status().rollout.pop().expect("there was a rollout")
}

/// A rollout's id is the time of its request, in milliseconds. It is never smaller than the previous id.
fn began_in_the_future(rollout: &api::Rollout) -> bool {
    const A_DAY: Duration = Duration::from_secs(24 * 3600);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    Duration::from_millis(rollout.id) > now + A_DAY
}
