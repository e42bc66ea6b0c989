//! The real command with an orchestrator on a real bus: what it prints, its exit status, and its calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod absence;
mod bus;
mod completion;
mod control;
mod deploy;
mod fake;
mod interface;
mod interrupts;
mod looks;
mod process;
mod pty;
mod reload;
mod scale;
mod systemd;
mod versions;
mod watch;

use api::{Failure, Rollout, RolloutState, StepState};
use bus::Bus;
use fake::{Orchestrator, Script, rollout};

/// An orchestrator on a private bus.
fn scripted(script: Script) -> (Bus, Orchestrator) {
    let bus = Bus::start("");
    let orchestrator = Orchestrator::start(&bus, script);
    (bus, orchestrator)
}

/// A script whose rollout does not change.
fn staying(state: RolloutState, steps: &[StepState]) -> Script {
    let now = vec![rollout(state, steps)];
    Script { story: now.clone(), last: now, ..Script::default() }
}

/// A rollout in which worker 1 failed.
fn failed(state: RolloutState, steps: &[StepState]) -> Rollout {
    let failure = Failure {
        instance: 1,
        unit: "worker@1.service".into(),
        reason: "exited with status 1 before it was ready".into(),
        journal: vec!["cannot open the database".into()],
    };
    Rollout { failure: vec![failure], ..rollout(state, steps) }
}
