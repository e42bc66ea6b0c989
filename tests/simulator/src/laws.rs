//! What always holds, whatever goes wrong.
//!
//! - **enough serve** A worker that serves is taken only while enough others serve, as far as the
//!   orchestrator can know. Enough are the wanted ones that no operator stopped, less `max_unavailable`. If
//!   nothing is under way on the way back, one is taken in any case. Otherwise the rollout would never end.
//! - **missing because of us** The rollout never makes more workers missing than `max_unavailable` and the
//!   extra workers allow, counted by systemd. An extra worker that the world took away counts as present. A
//!   worker that seemed to be down when it was taken is not missing because of the rollout.
//! - **width** No more workers are under way than there are extra ones and ones that may be missing.
//! - **the first worker proves a release** Until one worker of a rollout has settled, no other is under way.
//!   No other instance executes the new release, even after a crash, unless it is not known what it executes.
//! - **the canary holds** Until an operator resumes it there, a rollout takes no more workers than its canary,
//!   extra ones among them.
//! - **a failed trial touches no other** If no worker has settled, at most one wanted worker was taken. With
//!   an extra worker, none was.
//! - **what serves is left alone** No worker that serves is restarted outside of a rollout.
//! - **once** A rollout does not replace a process that it has already proved. On the way back, it leaves a
//!   process alone that is older than the rollout.
//! - **settled** No worker passes unless it was ready for the settle time, and fed its watchdog.
//! - **numbers** If there are limits, no worker passes that was seen to answer with errors while an old one
//!   did not. No other worker fails because of its answers.
//! - **the outcome is true** After `Done` all workers run the new release. After `Restored` all that served
//!   serve on the old one. After `Aborted` they do too, if there is an old one, or the message names those that
//!   are not ready. After `Failed` on the way back, some worker really is not back.
//! - **every rollout ends** in bounded time once the world is calm, and the end of every ordered rollout is
//!   announced.
//! - **what should run runs**, and **nothing else runs**, once the world is calm.
//! - **no worker is held** that no operator stopped. **what an operator stopped stays stopped** if the
//!   orchestrator could hear of it.
//! - **the next good rollout succeeds** and brings its release to every worker.
//! - **what is needed stays on disk** The release stays that every worker ran before the current one. So do
//!   those that run, and those that rollouts are about or wait for.
//! - **a stop stops** When the orchestrator exits because it is stopped, no worker runs. It exits in time.
//! - **what flaps after a rollout is undone**, also by the next orchestrator. **a rollback is not undone**.
//! - **what accepts nothing is undone**, if clients come. **what accepts is not undone** for that.
//! - **an order is withdrawn by all** callers that gave it. **what was left stays left** A reload or a boot
//!   does not bring back a release that an operator went back from.
//! - **a reply in time**, and **one reply** for each caller.
//! - **who waits for a person is refused**, and so is a caller that waits behind such a rollout.
//! - **no storm** of effects. **rest** at the end: nothing is done, and nothing is waited for.
//! - **no token twice**. **no stranger** is called for, nor a worker that is neither wanted nor extra.

mod end;
mod orders;
mod process;
mod removal;
mod rest;
mod rollout;
mod take;

pub(crate) use self::take::is_over;
use cluster::history::Kind;
use cluster::step::StepState;
use cluster::view;
use names::Instance;

use crate::systemd::STRANGER;

/// What the laws need to know of the past.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) rolled: Option<Rolled>,
    /// The workers whose answers are counted since one began to settle, with the processes that they had
    /// then.
    pub(crate) begun: Vec<Vec<(Instance, u32)>>,
    /// Workers that were last seen to answer with errors while no old one did; as bits.
    wrong: u16,
    /// The last rollout to another release that succeeded.
    pub(crate) last_done: Option<LastDone>,
    /// How the last rollout ended.
    last_end: Option<view::RolloutState>,
    /// The rollout that the orchestrator last said had ended.
    ended: Option<u64>,
    /// The release that is deployed once the world is calm.
    pub(crate) last: Option<usize>,
    pub(crate) effects_at_rest: u32,
    /// Workers whose links are being set, as far as the orchestrator knows; as bits.
    pub(crate) pointing: u16,
    /// Workers of whose process it is not known which release it executes; as bits. Its link was being set
    /// when it started, or what the ledger said about it is lost.
    unknown: u16,
    /// Workers whose process was started while their link could not be set, as the log says; as bits.
    astray: u16,
    /// Workers that the orchestrator stopped outside of a rollout; as bits.
    paused: u16,
    /// The orchestrator that begins now finds no worker running.
    is_cold: bool,
}

/// A rollout to another release that succeeded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastDone {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) kind: Kind,
    pub(crate) at: u64,
}

/// A rollout under way. It outlives orchestrators that die.
#[derive(Debug)]
pub(crate) struct Rolled {
    id: u64,
    kind: Kind,
    /// None if the release stays.
    from: Option<usize>,
    to: Option<usize>,
    begun: u64,
    /// How many workers were wanted then.
    desired: u32,
    /// How many workers it may take. An operator who resumes it there lifts this.
    canary: Option<u32>,
    steps: Vec<view::Step>,
    is_waiting: bool,
    /// A worker has settled.
    is_proved: bool,
    /// The run in which each worker settled.
    proved: [u64; STRANGER as usize + 1],
    /// The workers taken, then those of them that seemed to be down. Then the wanted ones that were taken
    /// before one had settled.
    taken: u16,
    idle: u16,
    trials: u16,
    /// The workers that served when it began, then those that executed the new release or were to.
    served: u16,
    had: u16,
    was_interrupted: bool,
    /// Its end is being written down.
    is_noted: bool,
    /// By then all were back on the old release, as far as could be known.
    was_whole: bool,
    /// Extra workers that are stopped because they failed. They would not have served for long.
    dropped: u16,
    /// Workers that the orchestrator has stopped since then, because they flap.
    stopped_since: u16,
    /// systemd refused, it was not heard, or an operator interfered.
    is_unsure: bool,
    is_restoring: bool,
}

impl Rolled {
    fn step(&self, worker: u32) -> Option<&view::Step> {
        self.steps.iter().find(|step| step.instance.number() == worker)
    }

    /// Whether it has this worker in hand.
    pub(crate) fn is_under_way(&self, worker: u32) -> bool {
        self.step(worker).is_some_and(|step| is_under_way(step.state) || step.state == StepState::Marked)
    }

    fn surge(&self) -> usize {
        self.steps.iter().filter(|step| step.is_surge).count()
    }
}

impl Books {
    pub(crate) fn set_wrong(&mut self, instance: Instance, is_wrong: bool) {
        let bit = 1 << instance.number();
        self.wrong = if is_wrong { self.wrong | bit } else { self.wrong & !bit };
    }

    /// The orchestrator could not see all that concerns the rollout under way. The laws have to know that.
    pub(crate) fn note_unsure(&mut self) {
        if let Some(rolled) = &mut self.rolled {
            rolled.is_unsure = true;
        }
    }
}

fn is_under_way(state: StepState) -> bool {
    use StepState::{Restarting, Restoring, Settling, Stopping};
    matches!(state, Restarting | Restoring | Settling | Stopping)
}

fn has(bits: u16, worker: u32) -> bool {
    bits & (1 << worker) != 0
}
