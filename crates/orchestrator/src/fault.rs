//! Points at which tests kill the orchestrator. Without the feature `fault-points` they do nothing.
//!
//! | name | what has happened |
//! |---|---|
//! | `begun`, `turning`, `ended` | the orchestrator has written the history: a rollout runs, goes back, is over |
//! | `flipped`, `turned` | it has changed an instance's link: forward, back |
//! | `before-restart`, `before-restore`, `before-stop` | in a rollout, it is about to send a call to systemd: forward, back, either |
//! | `restart-enqueued`, `restore-enqueued`, `stop-enqueued` | systemd has answered the call, and the cluster does not know yet |
//! | `job-finished` | a worker's job has ended in a rollout, after its first restart, and the cluster does not know yet |
//! | `settling`, `settled` | the cluster has found that a worker is ready, or stayed ready, and no effect of that is performed |
//! | `ending` | the cluster has found that the rollout is over, and no effect of that is performed |

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use cluster::effect::Call;
use cluster::history::{Entry, State};
use cluster::input::{Input, Signal};
use cluster::step::StepState;
use cluster::view::{Rollout, RolloutState, View};
use names::Instance;

/// Whether the last rollout in the history goes back.
static IS_BACK: AtomicBool = AtomicBool::new(false);
/// Whether a rollout runs or is paused.
static IS_ROLLING: AtomicBool = AtomicBool::new(false);
/// Whether the rollout has restarted a worker. The stop with which the orchestrator tries whether systemd lets it
/// stop a worker may end before the rollout begins or after.
static HAS_RESTARTED: AtomicBool = AtomicBool::new(false);

/// The orchestrator has read this history, which its predecessor left.
pub(crate) fn opened(history: &[Entry]) {
    IS_BACK.store(history.last().is_some_and(|entry| entry.state == State::Restoring), Relaxed);
}

/// The orchestrator has written this history.
pub(crate) fn written(history: &[Entry]) {
    opened(history);
    match history.last().map(|entry| entry.state) {
        Some(State::Running) => point("begun"),
        Some(State::Restoring) => point("turning"),
        Some(state) if state.has_ended() => point("ended"),
        _ => {}
    }
}

/// The orchestrator has pointed an instance to a release.
pub(crate) fn pointed() {
    point(either("flipped", "turned"));
}

/// The orchestrator is about to send this call to systemd.
pub(crate) fn sending(call: Call) {
    match call {
        _ if !IS_ROLLING.load(Relaxed) => {}
        Call::Restart(_) => point(either("before-restart", "before-restore")),
        Call::Stop(_) => point("before-stop"),
        _ => {}
    }
}

/// systemd has answered this call.
pub(crate) fn answered(call: Call) {
    match call {
        _ if !IS_ROLLING.load(Relaxed) => {}
        Call::Restart(_) => {
            HAS_RESTARTED.store(true, Relaxed);
            point(either("restart-enqueued", "restore-enqueued"));
        }
        Call::Stop(_) => point("stop-enqueued"),
        _ => {}
    }
}

/// The cluster is about to get this input.
pub(crate) fn heard(input: &Input) {
    let is_of_rollout = IS_ROLLING.load(Relaxed) && HAS_RESTARTED.load(Relaxed);
    if matches!(input, Input::Signal(Signal::JobRemoved(..))) && is_of_rollout {
        point("job-finished");
    }
}

/// The cluster has changed its state, and none of the effects is performed yet.
pub(crate) fn shown(before: &View, now: &View) {
    if !cfg!(feature = "fault-points") {
        return;
    }
    let was_rolling = IS_ROLLING.swap(is_rolling(now), Relaxed);
    let is_settling = |view: &View, instance: Instance| {
        let steps = view.rollout.as_ref().map_or(&[][..], |rollout| &rollout.steps);
        steps.iter().any(|step| step.instance == instance && step.state == StepState::Settling)
    };
    for step in now.rollout.iter().flat_map(|rollout| &rollout.steps) {
        match (is_settling(before, step.instance), step.state) {
            (false, StepState::Settling) => point("settling"),
            (true, StepState::Done) => point("settled"),
            _ => {}
        }
    }
    if was_rolling && !is_rolling(now) {
        HAS_RESTARTED.store(false, Relaxed);
        point("ending");
    }
}

fn is_rolling(view: &View) -> bool {
    let is_under_way =
        |rollout: &Rollout| matches!(rollout.state, RolloutState::Running | RolloutState::Paused);
    view.rollout.as_ref().is_some_and(is_under_way)
}

fn either(forward: &'static str, back: &'static str) -> &'static str {
    if IS_BACK.load(Relaxed) { back } else { forward }
}

/// Kills this process with SIGKILL at the nth call with this name. The file `fault-point` in the runtime
/// directory holds the name and n.
#[cfg(feature = "fault-points")]
fn point(name: &str) {
    use std::fs;

    let path = std::path::Path::new("/run/app-cluster/fault-point");
    let Ok(text) = fs::read_to_string(path) else { return };
    let (wanted, count) = text.trim().split_once(' ').unwrap_or((text.trim(), "1"));
    if wanted != name {
        return;
    }
    // The count is kept in the file and not in memory, so that a test can see how far it is.
    let left: u32 = count.parse().unwrap_or(1);
    if left > 1 {
        let _ = fs::write(path, format!("{name} {}", left - 1));
    } else if fs::remove_file(path).is_ok() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(not(feature = "fault-points"))]
fn point(_name: &str) {}
