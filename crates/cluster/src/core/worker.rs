//! What is known of one worker, and which jobs are under way for it.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::breach::Breach;
use crate::effect::Token;
use crate::event::Attempt;
use crate::info::UnitInfo;
use crate::moment::Moment;
use crate::unit::{ActiveState, InvocationId, JobId, JobResult, Unit};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// The part of the orchestrator that asked for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The keeper, which keeps the wanted number of workers running.
    Keeper,
    /// The rollout under way, in this try.
    Rollout(Attempt),
    /// The stop of the whole cluster.
    Shutdown,
}

/// The progress of a job of the orchestrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The instance is being linked to its release.
    Pointing(Token),
    /// systemd was asked for the job.
    Asked(Token),
    /// systemd has accepted the job.
    Enqueued(JobId),
}

/// A job of the orchestrator. Each worker has at most one: a later job replaces an earlier one, in systemd
/// too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) verb: Verb,
    pub(crate) owner: Owner,
    pub(crate) progress: Progress,
}

/// Why a worker is inspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something may have changed.
    Plain,
    /// A job of the orchestrator ended with this result. `None` if the end was not reported.
    JobEnded(Verb, Owner, Option<JobResult>),
    /// A foreign job, which the orchestrator did not ask for, is done. This is the run of the unit that was
    /// known before.
    ForeignDone(Option<InvocationId>),
    /// This rollout goes back, and its links are set.
    Relinked(u64),
    /// The settle time of this try in this rollout is over.
    Settled(u64, Attempt),
}

/// What follows a failure after which systemd does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The orchestrator starts the worker again at this time.
    At(Moment),
    /// The worker's exit status says that a start does not help.
    Never,
}

impl Retry {
    pub(crate) fn at(self) -> Option<Moment> {
        match self {
            Self::At(moment) => Some(moment),
            Self::Never => None,
        }
    }
}

/// The pause of a worker that keeps ending. It stays stopped until the pause is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) until: Moment,
    /// The worker was seen stopped. If it runs again, an operator or another program has started it.
    pub(crate) is_stopped: bool,
}

/// The state of one worker.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    /// The properties of its unit, as last reported.
    pub(crate) info: UnitInfo,
    /// It was inspected on this connection to the bus.
    pub(crate) is_known: bool,
    pub(crate) job: Option<Job>,
    /// The number of calls for a job that are not answered. A dropped call may still lead to a job.
    pub(crate) calls: u32,
    /// Jobs of the orchestrator that a later one has replaced, until systemd reports their end.
    pub(crate) replaced_jobs: Vec<JobId>,
    /// A call for such a job got no answer. A job that is done before this time may come from it.
    pub(crate) unanswered: Option<(Verb, Moment)>,
    /// The number of inspections under way.
    pub(crate) looks: u32,
    /// The number of those that tell whether a foreign job has stopped the worker.
    pub(crate) verdicts: u32,
    /// A foreign job was done, in this run of the unit, while systemd had yet to decide about a start. If
    /// systemd refuses the start, the foreign job may have been a stop.
    pub(crate) doubt: Option<Option<InvocationId>>,
    /// Inspections that failed and have to be repeated.
    pub(crate) failed_looks: Vec<Look>,
    /// When to inspect it next, even without a signal.
    pub(crate) look_at: Option<Moment>,
    /// The last interval before such an inspection.
    pub(crate) patience: Duration,
    /// Since when its unit has no job although the end of one is awaited.
    pub(crate) job_missing_since: Option<Moment>,
    /// It was seen up since it was last stopped. If it is down now, it has ended by itself.
    pub(crate) has_run: bool,
    pub(crate) backoff: Backoff,
    pub(crate) pause: Option<Pause>,
    /// A job was refused or not answered. The next one is not requested before this time.
    pub(crate) not_before: Option<Moment>,
    /// How often in a row that happened.
    pub(crate) refusals: u32,
    /// What follows a failure. `None` if the worker has not failed, or the failure is not logged yet.
    pub(crate) retry: Option<Retry>,
    /// How often in a row a start was scheduled.
    pub(crate) retries: u32,
    /// The run that the log reported as ready.
    pub(crate) told_ready: Option<InvocationId>,
    /// Whether the log has reported that it flaps.
    pub(crate) is_flapping_told: bool,
    /// The time since which it is known to be failed.
    pub(crate) failed_since: Option<Moment>,
    /// How its last process ended, as a phrase.
    pub(crate) last_exit: Option<String>,
    /// The rule of the worker's contract that this process broke.
    pub(crate) breach: Option<Breach>,
}

impl Worker {
    /// Its unit. It counts as having a job while a call may still lead to one. It also does while it is
    /// unknown whether a job has stopped it.
    pub(crate) fn unit(&self) -> Unit {
        let unit = self.info.unit();
        Unit {
            has_job: unit.has_job || self.verdicts > 0 || self.is_asked_for(),
            has_foreign_job: self.verdicts > 0 || self.info.job.is_some_and(|job| !self.may_be_own(job)),
            may_go: self.unanswered.is_some(),
            ..unit
        }
    }

    /// Whether this job of its unit is the orchestrator's, or may come from a call that got no answer.
    fn may_be_own(&self, job: JobId) -> bool {
        let is_awaited = |own: &Job| own.progress == Progress::Enqueued(job);
        self.job.as_ref().is_some_and(is_awaited)
            || self.replaced_jobs.contains(&job)
            || self.unanswered.is_some()
    }

    /// Whether the orchestrator asks systemd for a job, or is about to.
    fn is_asked_for(&self) -> bool {
        let is_to_be = |job: &Job| matches!(job.progress, Progress::Pointing(_));
        self.calls > 0 || self.job.as_ref().is_some_and(is_to_be)
    }

    /// Whether nothing is under way that could change what is known of it.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_known
            && self.looks == 0
            && self.failed_looks.is_empty()
            && self.job.is_none()
            && self.calls == 0
            && self.info.job.is_none()
    }

    /// Whether the job of its unit is the orchestrator's.
    pub(crate) fn has_own_job(&self) -> bool {
        let own = |job: &Job| self.info.job.map(Progress::Enqueued) == Some(job.progress.clone());
        self.job.as_ref().is_some_and(own)
    }

    /// Whether the orchestrator is stopping it. Until that job ends, reports may be older than the stop.
    pub(crate) fn is_being_stopped(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.verb == Verb::Stop)
    }

    /// Whether it has failed, and is not stopped for a pause.
    pub(crate) fn has_failed(&self) -> bool {
        self.info.active == ActiveState::Failed && self.pause.is_none()
    }

    /// Begins to await the end of this job instead of another.
    pub(crate) fn begin(&mut self, job: Job) {
        self.leave_job();
        self.job_missing_since = None;
        self.patience = Duration::ZERO;
        self.job = Some(job);
    }

    /// No longer awaits the end of the job. The job still counts as the orchestrator's.
    pub(crate) fn leave_job(&mut self) {
        match self.job.take().map(|job| job.progress) {
            Some(Progress::Enqueued(id)) => self.remember(id),
            // The answer, which comes before the job ends, tells whether there is a job.
            Some(Progress::Asked(_) | Progress::Pointing(_)) | None => {}
        }
    }

    /// Whether the job that is over may come from a call that got no answer. systemd reports the change of
    /// the unit before the end of the job that caused it.
    pub(crate) fn may_have_asked(&self, now: Moment) -> bool {
        let is_up = self.info.unit().is_up();
        self.unanswered.is_some_and(|(verb, until)| until > now && is_up == (verb == Verb::Start))
    }

    /// Notes that this job is the orchestrator's, though its end is not awaited.
    pub(crate) fn remember(&mut self, id: JobId) {
        const MOST: usize = 64;
        self.replaced_jobs.push(id);
        if self.replaced_jobs.len() > MOST {
            self.replaced_jobs.remove(0);
        }
    }

    /// Notes how the last process ended. While the orchestrator stops the worker, its exit says nothing about
    /// it.
    pub(crate) fn note_exit(&mut self) {
        let is_ours = (self.pause.is_some() || self.is_being_stopped()) && self.last_exit.is_some();
        if let Some(exit) = self.info.last_exit()
            && !is_ours
        {
            (self.last_exit, self.breach) = (Some(exit), self.info.breach());
        }
    }
}
