//! The exact answer for given clusters.

use std::time::{Duration, UNIX_EPOCH};

use api::{Counters, Failure, Kind, Latency, Responses, Step, StepState};

use super::*;
use crate::status::look::Process;
use crate::status::usage::{Cpu, Usage};

const NOW_USEC: u64 = 180_061_000_000;

fn worker(instance: u32, state: WorkerState) -> Worker {
    Worker {
        instance,
        unit: format!("worker@{instance}.service"),
        state,
        sub_state: "running".into(),
        pid: 4000 + instance,
        release: "1.2.0".into(),
        ready_since_usec: 1_000_000,
        restarts: 0,
        next_try_usec: 0,
        last_exit: String::new(),
    }
}

pub(crate) fn four_workers() -> Status {
    Status {
        cluster: "app-cluster".into(),
        version: "1.0.0".into(),
        summary: "1 of 4 ready, release 1.2.0".into(),
        release: "1.2.0".into(),
        desired: 4,
        ready: 1,
        workers: vec![
            worker(1, WorkerState::Ready),
            Worker {
                sub_state: "auto-restart".into(),
                pid: 0,
                release: String::new(),
                ready_since_usec: 0,
                restarts: 12,
                last_exit: "exited with status 1 (address family not supported)".into(),
                ..worker(2, WorkerState::Starting)
            },
            worker(3, WorkerState::Stopping),
            Worker {
                pid: 0,
                ready_since_usec: 0,
                last_exit: "killed by SIGKILL".into(),
                ..worker(4, WorkerState::Failed)
            },
        ],
        rollout: vec![],
    }
}

/// A look at that cluster. More is known of the first and the third worker, and the first one counts.
pub(crate) fn look(status: Status) -> Look {
    let cpu = Cpu { used: Duration::from_secs(61), age: Duration::from_secs(180_000) };
    let usage = |bytes| Usage { memory_bytes: Some(bytes), cpu: Some(cpu) };
    let one = Process { pid: 4001, usage: usage(12_900_000), counters: Some(counters(1)) };
    let three = Process { pid: 4003, usage: usage(5_368_709_120), counters: None };
    let processes = [(1, one), (3, three)].into_iter().collect();
    Look { at: UNIX_EPOCH + Duration::from_micros(NOW_USEC), status, processes }
}

pub(crate) fn counters(instance: u32) -> Counters {
    Counters {
        instance,
        pid: 4000 + instance,
        release: "1.2.0".into(),
        since_usec: 61_000_000,
        ready_since_usec: 62_000_000,
        drain_begun_usec: 0,
        accepts: 900,
        connections: 12,
        refused: 0,
        requests: 1_203_441,
        in_flight: 3,
        unanswered: 1,
        responses: Responses { successful: 1_203_434, server_error: 3, ..Responses::default() },
        received_bytes: 1,
        sent_bytes: 2,
        panics: 0,
        timeouts: Default::default(),
        drained: Default::default(),
        latency: Latency {
            sum_usec: 9,
            p50_usec: 850,
            p90_usec: 1250,
            p99_usec: 12_400,
            p999_usec: 1_200_000,
        },
    }
}

fn rendered(status: &Status, width: Option<usize>, colour: bool) -> String {
    render(&look(status.clone()), None, &Style { width, colour })
}

#[test]
fn everything_is_shown_where_there_is_no_terminal() {
    assert_eq!(
        rendered(&four_workers(), None, false),
        "\
app-cluster: 1 of 4 ready, release 1.2.0

WORKER    STATE                    PID   RELEASE  UPTIME  RESTARTS  CPU    MEM    LAST EXIT
worker@1  ready                    4001  1.2.0    2d 2h   0         0.03%  12.3M  -
worker@2  starting (auto-restart)  -     -        -       12        -      -      exited with status 1 (address family not supported)
worker@3  stopping                 4003  1.2.0    2d 2h   0         0.03%  5.0G   -
worker@4  failed                   -     1.2.0    -       0         -      -      killed by SIGKILL

WORKER    CONNS  IN FLIGHT  REQUESTS  REQ/S  5XX     P50    P99
worker@1  12     3          1203441   6.7    <0.01%  850us  12ms
worker@2  -      -          -         -      -       -      -
worker@3  -      -          -         -      -       -      -
worker@4  -      -          -         -      -       -      -
"
    );
}

#[test]
fn a_terminal_shortens_the_last_column_first() {
    let text = rendered(&four_workers(), Some(100), false);
    assert!(text.contains("12        -      -      exited with statu…\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn a_narrow_terminal_keeps_what_matters() {
    assert_eq!(
        rendered(&four_workers(), Some(45), false),
        "\
app-cluster: 1 of 4 ready, release 1.2.0

WORKER    STATE                    RELEASE
worker@1  ready                    1.2.0
worker@2  starting (auto-restart)  -
worker@3  stopping                 1.2.0
worker@4  failed                   1.2.0

WORKER    CONNS  REQUESTS  REQ/S  5XX
worker@1  12     1203441   6.7    <0.01%
worker@2  -      -         -      -
worker@3  -      -         -      -
worker@4  -      -         -      -
"
    );
}

#[test]
fn colour_is_for_the_state_and_takes_no_room() {
    let plain = rendered(&four_workers(), Some(100), false);
    let coloured = rendered(&four_workers(), Some(100), true);
    assert!(coloured.contains("\x1b[32mready\x1b[0m"));
    let stripped: String = coloured
        .split('\x1b')
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) })
        .collect();
    assert_eq!(stripped, plain);
}

fn rollout(state: RolloutState, steps: Vec<Step>) -> Rollout {
    Rollout {
        id: 1_700_000_000_000,
        kind: Kind::Deploy,
        by: "alice".into(),
        state,
        from: "1.2.0".into(),
        to: "1.3.0".into(),
        steps,
        message: String::new(),
        failure: vec![],
        step_timeout_usec: 0,
        deadline_usec: 0,
    }
}

fn step(instance: u32, state: StepState) -> Step {
    Step { instance, state, is_surge: false, deadline_usec: 0 }
}

#[test]
fn a_failed_rollout_comes_with_what_the_worker_said_last() {
    let rollout = Rollout {
        message: "worker@1 is back on release 1.2.0".into(),
        failure: vec![Failure {
            instance: 1,
            unit: "worker@1.service".into(),
            reason: "exited with status 1 before it was ready".into(),
            journal: vec!["cannot open the database".into()],
        }],
        ..rollout(RolloutState::Restored, vec![step(1, StepState::Restored), step(2, StepState::Waiting)])
    };
    let status = Status { workers: vec![], rollout: vec![rollout], ..four_workers() };
    assert_eq!(
        rendered(&status, Some(40), false),
        "\
app-cluster: 1 of 4 ready, release 1.2.0

rollout 1700000000000: restored, release 1.2.0 → 1.3.0
  deploy by alice
  worker@1 is back on release 1.2.0
  worker@1.service exited with status 1 before it was ready
  last lines of worker@1.service:
    cannot open the database
"
    );
}

#[test]
fn a_paused_rollout_says_what_is_under_way_and_how_to_go_on() {
    let surge = Step { is_surge: true, ..step(5, StepState::Done) };
    let under_way = Step { deadline_usec: NOW_USEC + 26_500_000, ..step(1, StepState::Restarting) };
    let paused = Rollout {
        deadline_usec: NOW_USEC + 240_000_000,
        ..rollout(RolloutState::Paused, vec![under_way, step(2, StepState::Waiting), surge])
    };
    let workers = vec![worker(1, WorkerState::Starting), worker(5, WorkerState::Ready)];
    let status = Status { workers, rollout: vec![paused], ..four_workers() };
    assert_eq!(
        rendered(&status, None, false),
        "\
app-cluster: 1 of 4 ready, release 1.2.0

WORKER            STATE     PID   RELEASE  UPTIME  RESTARTS  CPU    MEM    LAST EXIT
worker@1          starting  4001  1.2.0    2d 2h   0         0.03%  12.3M  -
worker@5 (extra)  ready     4005  1.2.0    2d 2h   0         -      -      -

WORKER            CONNS  IN FLIGHT  REQUESTS  REQ/S  5XX     P50    P99
worker@1          12     3          1203441   6.7    <0.01%  850us  12ms
worker@5 (extra)  -      -          -         -      -       -      -

rollout 1700000000000: paused, 0 of 2 replaced, release 1.2.0 → 1.3.0, 4 min left
  deploy by alice
  worker@1: restarting, 27 s left
  paused: `app-cluster resume` goes on, `app-cluster abort` goes back
"
    );
}

#[test]
fn a_worker_that_flaps_says_when_it_is_tried_again() {
    let flapping = Worker { next_try_usec: NOW_USEC + 3_100_000, ..worker(1, WorkerState::Flapping) };
    let status = Status { workers: vec![flapping], ..four_workers() };
    let text = rendered(&status, None, false);
    assert!(text.contains("worker@1  flapping, next try in 4 s  4001"), "{text}");
}
