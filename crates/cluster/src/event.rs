//! What goes into a rollout and what comes out of it.

use std::fmt;
use std::time::Duration;

use crate::numbers::{Compared, Excess, Limits, Undecided};
use crate::unit::{ActiveState, Instance, JobResult, Unit};

/// How a rollout is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a new worker has to stay active before it counts as replaced.
    pub settle: Duration,
    /// By how much the answers of a new worker may be worse than those of the old ones meanwhile.
    pub limits: Limits,
    /// How many of the wanted workers may be missing at any moment.
    pub max_unavailable: u32,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// Whether there is an old release to go back to. Without one, a failed rollout stops where it is.
    pub has_previous: bool,
    /// After this many workers the rollout waits for [`Event::Resume`].
    pub canary: Option<u32>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Every worker goes back to the old release.
    Rollback,
    /// No further worker is touched.
    Halt,
}

/// Which try at one worker a deadline belongs to. A late deadline must not end the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt(pub(crate) u32);

/// What happened, as far as a rollout is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// systemd accepted the job that [`Action::Restart`] or [`Action::Stop`] asked for.
    Enqueued(Instance),
    /// systemd refused that job.
    JobRefused {
        /// The worker.
        instance: Instance,
        /// systemd's reason.
        reason: String,
    },
    /// That job has ended. `unit` was read after that.
    JobFinished {
        /// The worker.
        instance: Instance,
        /// The job's result.
        result: JobResult,
        /// The unit as it is now.
        unit: Unit,
    },
    /// The unit was inspected: because it changed, or a signal may have been missed, or the bus is back.
    Looked {
        /// The worker.
        instance: Instance,
        /// The unit as it is now.
        unit: Unit,
    },
    /// The time that [`Action::Settle`] asked for has passed. `unit` was read after that.
    Settled {
        /// The worker.
        instance: Instance,
        /// The unit as it is now.
        unit: Unit,
        /// What this worker and the old ones have answered since it became ready, or why that is not known.
        /// It counts those that [`Rollout::to_compare`](crate::Rollout::to_compare) named then and still
        /// names now.
        compared: Result<Compared, String>,
    },
    /// An operator stopped this worker.
    Held(Instance),
    /// The time for one worker has passed.
    StepDeadline {
        /// The worker.
        instance: Instance,
        /// The try that began when the time did.
        attempt: Attempt,
    },
    /// The time for the whole rollout has passed.
    Deadline,
    /// An operator wants the rollout to take no further worker.
    Pause,
    /// An operator wants the rollout to go on.
    Resume,
    /// An operator wants the rollout undone. Without a release to go back to, it ends.
    Abort,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Enqueue a restart job for this worker, which also starts a worker that does not run. Report
    /// [`Event::Enqueued`] or [`Event::JobRefused`], then the end of the job. If that takes too long, report
    /// [`Event::StepDeadline`].
    Restart(Instance, Attempt),
    /// Enqueue a stop job, and report the same.
    Stop(Instance, Attempt),
    /// Report [`Event::Settled`] after this time. It replaces an earlier one for this worker, and ends with
    /// the try.
    Settle(Instance, Duration),
    /// Tell operators that there is a limit, but that this worker could not be compared with the old ones.
    TellUndecided(Instance, Undecided),
    /// Link every instance to the old release again. Then inspect every worker
    /// ([`Rollout::is_seen_anew`](crate::Rollout::is_seen_anew)): none is put back before that.
    RestoreRelease,
    /// Link this instance to the old release again, if there is one. The rollout leaves it out, and the new
    /// release was not proven on it.
    LinkBack(Instance),
    /// The rollout is over.
    Finish(Outcome),
    /// The event did not fit the state, and changed nothing.
    Ignore(&'static str),
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every worker was replaced.
    Done,
    /// The rollout ended on request, without an old release to go back to. The other workers are untouched.
    Stopped,
    /// All workers are back on the old release and active.
    Restored(Cause),
    /// The rollout was given up, and not all workers are active on one release.
    Failed(Cause),
}

/// Why a rollout turned back or stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A worker failed.
    Fault(Instance, Fault),
    /// The time for the whole rollout had passed.
    Deadline,
    /// An operator asked for it.
    Aborted,
    /// An earlier orchestrator had turned the rollout back.
    Interrupted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(instance, fault) => write!(f, "{instance} {fault}"),
            Self::Deadline => f.write_str("the rollout took longer than its deadline"),
            // The history on disk has this phrase, by which the next orchestrator recognises an abort.
            Self::Aborted => f.write_str("aborted on request"),
            Self::Interrupted => f.write_str("an earlier orchestrator had given it up"),
        }
    }
}

/// What was wrong with a worker, as a phrase that follows its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// systemd refused the job.
    Refused(String),
    /// The restart job ended with another result than `done`.
    Job(JobResult),
    /// The job is done, but the unit is not active.
    NotActive(ActiveState),
    /// The job is done, but the old process still runs.
    SameProcess,
    /// The worker became ready, then ended or was restarted within the settle time.
    Unsettled,
    /// The worker stayed ready for the settle time, but its answers were too much worse than those of the old
    /// workers.
    Numbers(Excess),
    /// The worker was replaced and crashed afterwards, like most of those replaced with it.
    Crashed,
    /// The worker was not replaced within its deadline.
    TooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "was not restarted: {reason}"),
            Self::Job(JobResult::Failed) => f.write_str("failed before it was ready"),
            Self::Job(JobResult::Timeout) => f.write_str("was not ready in time"),
            Self::Job(result) => write!(f, "was not restarted: job result {result}"),
            Self::NotActive(state) => write!(f, "is {state} although its restart was done"),
            Self::SameProcess => f.write_str("still runs its old process although its restart was done"),
            Self::Unsettled => f.write_str("became ready and did not stay so for the settle time"),
            Self::Numbers(excess) => write!(f, "{excess}"),
            Self::Crashed => {
                f.write_str("crashed after it was replaced, as did most of the workers replaced so far")
            }
            Self::TooLong => f.write_str("was not replaced within its deadline"),
        }
    }
}
