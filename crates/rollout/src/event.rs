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
    /// By how much a new worker may answer worse than the old ones meanwhile.
    pub limits: Limits,
    /// How many of the wanted workers may be missing at any moment.
    pub max_unavailable: u32,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// Whether there is an old release to go back to. Without one a failed rollout stops where it is.
    pub has_previous: bool,
    /// After so many workers the rollout waits for [`Event::Resume`].
    pub canary: Option<u32>,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The old release is put back everywhere.
    Rollback,
    /// Nothing more is touched.
    Halt,
}

/// Which try at one worker a deadline belongs to: one that comes late must not hit the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt(pub(crate) u32);

/// What the driver tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// systemd accepted the job that [`Action::Restart`] or [`Action::Stop`] asked for.
    Enqueued(Instance),
    /// systemd did not accept it.
    JobRefused {
        /// The worker.
        instance: Instance,
        /// systemd's reason.
        reason: String,
    },
    /// That job has ended; `unit` was read after that.
    JobFinished {
        /// The worker.
        instance: Instance,
        /// The job's result.
        result: JobResult,
        /// The unit as it is now.
        unit: Unit,
    },
    /// The unit was looked at: because it changed, because a signal may have been missed, because the bus is back.
    Looked {
        /// The worker.
        instance: Instance,
        /// The unit as it is now.
        unit: Unit,
    },
    /// The time that [`Action::Settle`] asked for is over; `unit` was read after that.
    Settled {
        /// The worker.
        instance: Instance,
        /// The unit as it is now.
        unit: Unit,
        /// What it and the old workers have answered since it became ready, of those that
        /// [`Rollout::to_compare`](crate::Rollout::to_compare) named then and names now; or why that is not known.
        compared: Result<Compared, String>,
    },
    /// Somebody stopped this worker on purpose.
    Held(Instance),
    /// The time for one worker is over.
    StepDeadline {
        /// The worker.
        instance: Instance,
        /// The try that began when the time did.
        attempt: Attempt,
    },
    /// The time for the whole rollout is over.
    Deadline,
    /// Somebody wants that no further worker is taken.
    Pause,
    /// Somebody wants that it goes on.
    Resume,
    /// Somebody wants it undone, or ended where there is nothing to go back to.
    Abort,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Enqueue a restart job for this worker, which also starts one that does not run, and report
    /// [`Event::Enqueued`] or [`Event::JobRefused`], then its end, and [`Event::StepDeadline`] if that takes too long.
    Restart(Instance, Attempt),
    /// Enqueue a stop job, and report the same.
    Stop(Instance, Attempt),
    /// Report [`Event::Settled`] after this time.
    Settle(Instance, Duration),
    /// Tell people that there is a limit and that this worker could not be compared with the old ones.
    TellUndecided(Instance, Undecided),
    /// Make the old release current again, and then look at every worker ([`Event::Looked`]): none is put back
    /// before that.
    RestoreRelease,
    /// The rollout is over.
    Finish(Outcome),
    /// The event was out of place and changed nothing.
    Ignore(&'static str),
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every worker was replaced.
    Done,
    /// Ended on request where there was no old release to go back to; the other workers are untouched.
    Stopped,
    /// All workers are back on the old release and active.
    Restored(Cause),
    /// It was given up, and not all workers are active on one release.
    Failed(Cause),
}

/// Why a rollout turned back or stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A worker failed.
    Fault(Instance, Fault),
    /// The time for the whole rollout was over.
    Deadline,
    /// Somebody asked for it.
    Aborted,
    /// An orchestrator that is no more had turned back.
    Interrupted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(instance, fault) => write!(f, "{instance} {fault}"),
            Self::Deadline => f.write_str("the rollout took longer than its deadline"),
            Self::Aborted => f.write_str("aborted on request"),
            Self::Interrupted => f.write_str("an earlier orchestrator had given it up"),
        }
    }
}

/// What was wrong with a worker, as a phrase that follows its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// systemd did not accept the job.
    Refused(String),
    /// The restart job ended with something else than `done`.
    Job(JobResult),
    /// The job was done and yet the unit is not active.
    NotActive(ActiveState),
    /// The job was done and yet the old process is still there.
    SameProcess,
    /// It became ready and ended or was restarted within the settle time.
    Unsettled,
    /// It stayed ready for the settle time and answered too much worse than the old workers.
    Numbers(Excess),
    /// It was replaced, and crashed afterwards, as did most of those replaced with it.
    Crashed,
    /// It was not replaced within its deadline.
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
