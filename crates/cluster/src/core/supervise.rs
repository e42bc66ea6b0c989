//! Starts the workers that are missing and stops those that are too many. A rollout handles its own workers.

use std::time::Duration;

use names::Instance;

use super::active::ActiveRollout;
use super::worker::{Job, Look, Owner, Progress, Retry, Verb, Worker};
use super::{Activity, Cluster, PATIENCE, Phase, Purpose};
use crate::effect::{Call, Token};
use crate::event::Event;
use crate::input::{EnqueueError, SocketState};
use crate::keep::{Correction, corrections};
use crate::ledger::StoppedBy;
use crate::moment::Moment;
use crate::plan::Candidate;
use crate::release::ReleaseId;
use crate::unit::{ActiveState, JobId};

/// How long a call without an answer may still lead to a job, because polkit or systemd is late.
pub(super) const CARRIED_OUT: Duration = Duration::from_secs(120);

/// The longest pause between two attempts to start a worker that systemd does not start.
const LONGEST: Duration = Duration::from_secs(60);

impl Cluster {
    /// Starts and stops workers until the wanted number runs.
    pub(super) fn supervise(&mut self) {
        if !matches!(self.phase, Phase::Starting | Phase::Running) || !self.is_connected {
            return;
        }
        for instance in Instance::first(self.settings.workers) {
            self.know(instance);
        }
        self.keep_pauses();
        self.forgive();
        for correction in corrections(self.settings.workers, &self.candidates()) {
            self.correct(correction);
        }
        self.retry_failed();
        self.forget_surplus();
    }

    /// The workers as the planner and the keeper see them.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(&instance, worker): (&Instance, &Worker)| Candidate {
            instance,
            unit: worker.unit(),
            is_held: self.ledger.is_held(instance),
        };
        self.workers.iter().map(candidate).collect()
    }

    fn correct(&mut self, correction: Correction) {
        let now = self.now.moment;
        let is_due = |worker: &Worker| worker.not_before.is_none_or(|at| at <= now);
        match correction {
            Correction::Start(instance) => {
                let may_start =
                    |worker: &Worker| worker.is_at_rest() && worker.pause.is_none() && is_due(worker);
                if self.workers.get(&instance).is_some_and(may_start) && !self.is_rolled(instance) {
                    self.start_missing(instance);
                }
            }
            Correction::Stop(instance) => {
                // While a unit is masked, systemd does not tell whether it belongs to the cluster.
                let may_stop = |worker: &Worker| {
                    worker.job.is_none() && worker.looks == 0 && worker.info.is_loaded() && is_due(worker)
                };
                // If all workers are held, an unfinished rollout cannot continue and needs no extra workers.
                let goes_on = self.unfinished.is_some() && !self.are_all_held(&self.settings);
                let is_idle = matches!(self.activity, Activity::None) && !goes_on;
                if is_idle && self.workers.get(&instance).is_some_and(may_stop) {
                    self.stop(instance, Owner::Keeper);
                }
            }
        }
    }

    /// Starts a wanted worker that is down. systemd does not restart a worker that ended with status 0.
    fn start_missing(&mut self, instance: Instance) {
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        if std::mem::take(&mut worker.has_run) {
            if !self.ended(instance, 1) {
                return;
            }
            self.log_ended(instance);
        }
        self.start(instance, Owner::Keeper, self.release_for(instance));
    }

    /// Starts failed workers again, after longer and longer pauses. It leaves those whose exit status says
    /// that a start does not help.
    fn retry_failed(&mut self) {
        let now = self.now.moment;
        let has_failed = |(instance, worker): &(&Instance, &Worker)| {
            let for_a_while = worker.failed_since.is_some_and(|since| since.saturating_add(PATIENCE) <= now);
            instance.number() <= self.settings.workers
                && worker.has_failed()
                && for_a_while
                && worker.is_at_rest()
                && !self.ledger.is_held(**instance)
                && !self.is_rolled(**instance)
        };
        let failed: Vec<_> = self.workers.iter().filter(has_failed).map(|(instance, _)| *instance).collect();
        for instance in failed {
            self.retry(instance);
        }
    }

    fn retry(&mut self, instance: Instance) {
        let now = self.now.moment;
        let first = self.settings.backoff.first.max(PATIENCE);
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let is_hopeless = worker.info.is_hopeless();
        let Some(retry) = worker.retry else {
            if worker.backoff.take_stable(now, &self.settings.backoff) {
                worker.retries = 0;
            }
            let at = now.saturating_add(doubled(first, worker.retries));
            worker.retry = Some(if is_hopeless { Retry::Never } else { Retry::At(at) });
            worker.retries = worker.retries.saturating_add(1);
            return self.log_failed(instance);
        };
        let is_due = worker.not_before.is_none_or(|at| at <= now);
        if retry.at().is_none_or(|at| at > now) || !is_due {
            return;
        }
        if self.socket.as_ref().is_none_or(SocketState::listens) {
            worker.retry = None;
            self.start(instance, Owner::Keeper, self.release_for(instance));
        } else {
            // Without a listener the worker would only fail again. No signal tells when there is one.
            worker.retry = Some(Retry::At(now.saturating_add(doubled(first, worker.retries))));
            worker.retries = worker.retries.saturating_add(1);
            self.read_socket();
        }
    }

    /// Forgets the workers beyond the wanted number that are down.
    fn forget_surplus(&mut self) {
        let is_over = |(instance, worker): &(&Instance, &Worker)| {
            let is_surplus = instance.number() > self.settings.workers && !self.has_part(**instance);
            is_surplus && worker.info.is_down() && worker.is_at_rest()
        };
        if self.is_busy() {
            return;
        }
        let over: Vec<_> = self.workers.iter().filter(is_over).map(|(instance, _)| *instance).collect();
        if over.is_empty() {
            return;
        }
        for instance in over {
            self.workers.remove(&instance);
        }
        self.forget_links();
    }

    /// Starts or restarts a worker on this release.
    pub(super) fn start(&mut self, instance: Instance, owner: Owner, release: Option<ReleaseId>) {
        // The link is set even if it seems right: another program may have removed it.
        let Some(release) = release else {
            return self.ask(instance, Verb::Start, owner);
        };
        let token = self.point(instance, &release, Purpose::Point(instance, release.clone()));
        if let Some(worker) = self.workers.get_mut(&instance) {
            worker.begin(Job { verb: Verb::Start, owner, progress: Progress::Pointing(token) });
        }
    }

    /// The link of this instance was set, or not.
    pub(super) fn pointed(
        &mut self,
        instance: Instance,
        release: ReleaseId,
        token: Token,
        done: Result<(), String>,
    ) {
        let is_linked = done.is_ok() || self.links.get(&instance) == Some(&release);
        self.is_linked(instance, release.clone(), token, done.is_ok());
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let is_for = |job: &Job| job.progress == Progress::Pointing(token);
        let Some(Job { verb, owner, .. }) = worker.job.clone().filter(is_for) else {
            if !is_linked {
                self.point_later(instance, release);
            }
            return;
        };
        let is_stopped_by_another = worker.unit().is_stopped_by_another();
        match done {
            Err(error) if !is_linked => {
                worker.job = None;
                if owner == Owner::Keeper {
                    self.point_later(instance, release);
                }
                self.not_enqueued(instance, verb, owner, error);
            }
            // If this failed, the link was set before, and nothing says that it is gone.
            _ if !is_stopped_by_another && self.is_still_wanted(instance, owner) => {
                self.ask(instance, verb, owner);
            }
            _ => self.leave_start(instance, owner),
        }
    }

    /// Whether a start that waited for the link is still wanted.
    fn is_still_wanted(&self, instance: Instance, owner: Owner) -> bool {
        match owner {
            Owner::Rollout(attempt) => {
                let may_take = |rollout: &ActiveRollout| rollout.machine.may_still_take(instance);
                self.is_at_try(instance, attempt) && self.rolling().is_some_and(may_take)
            }
            Owner::Keeper => {
                instance.number() <= self.settings.workers && !self.workers.get(&instance).is_some_and(is_up)
            }
            Owner::Shutdown => true,
        }
    }

    /// Drops a start before the call. If the rollout still waits for it, the worker is inspected again.
    fn leave_start(&mut self, instance: Instance, owner: Owner) {
        let later = self.in_time(PATIENCE);
        let is_at_hand = matches!(owner, Owner::Rollout(attempt) if self.is_at_try(instance, attempt));
        if let Some(worker) = self.workers.get_mut(&instance) {
            worker.job = None;
            worker.look_at = if is_at_hand { Some(later) } else { worker.look_at };
        }
    }

    pub(super) fn stop(&mut self, instance: Instance, owner: Owner) {
        self.ask(instance, Verb::Stop, owner);
    }

    fn ask(&mut self, instance: Instance, verb: Verb, owner: Owner) {
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        if worker.info.is_stranger() {
            worker.job = None;
            let reason = self.stranger().unwrap_or_default();
            return self.not_enqueued(instance, verb, owner, reason);
        }
        if verb == Verb::Stop && instance.number() <= self.settings.workers {
            // The next orchestrator must not take this stop for an operator's.
            self.is_ledger_saved = false;
            self.ledger.stopped.entry(instance).or_insert(StoppedBy::Us);
        }
        self.save_ledger();
        let call = match verb {
            Verb::Start => Call::Restart(instance),
            Verb::Stop => Call::Stop(instance),
        };
        let token = self.call(call, Purpose::Enqueue(instance, verb));
        if let Some(worker) = self.workers.get_mut(&instance) {
            worker.calls += 1;
            worker.begin(Job { verb, owner, progress: Progress::Asked(token) });
        }
    }

    /// systemd has accepted a job, or not.
    pub(super) fn enqueued(
        &mut self,
        instance: Instance,
        verb: Verb,
        token: Token,
        enqueued: Result<JobId, EnqueueError>,
    ) {
        let (later, carried_out) = (self.in_time(PATIENCE), self.in_time(CARRIED_OUT));
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        worker.calls = worker.calls.saturating_sub(1);
        let doubt = worker.doubt.take().filter(|_| enqueued.is_err());
        worker.verdicts += u32::from(doubt.is_some());
        let job = worker.job.clone().filter(|job| job.progress == Progress::Asked(token));
        match (job, enqueued) {
            (Some(Job { owner, .. }), Ok(id)) => {
                worker.replaced_jobs.retain(|replaced| *replaced != id);
                worker.job = Some(Job { verb, owner, progress: Progress::Enqueued(id) });
                worker.look_at = Some(later);
                if matches!(owner, Owner::Rollout(attempt) if self.is_at_try(instance, attempt)) {
                    self.roll_on(Event::Enqueued(instance));
                }
            }
            (Some(Job { owner, .. }), Err(EnqueueError::Refused(reason))) => {
                worker.job = None;
                self.not_enqueued(instance, verb, owner, reason);
            }
            (Some(Job { owner, .. }), Err(EnqueueError::Unanswered(reason))) => {
                worker.job = None;
                worker.unanswered = Some((verb, carried_out));
                if owner == Owner::Shutdown {
                    worker.refusals = worker.refusals.saturating_add(1);
                }
                (worker.not_before, worker.look_at) = (Some(later), Some(later));
                if self.is_connected {
                    self.warn_of(
                        instance,
                        format!("failed to {} {instance}: {reason}; trying again", verb.word()),
                    );
                }
            }
            (None, Ok(id)) => worker.remember(id),
            (None, Err(EnqueueError::Unanswered(_))) => worker.unanswered = Some((verb, carried_out)),
            (None, Err(EnqueueError::Refused(_))) => {}
        }
        if let Some(before) = doubt {
            self.inspect(instance, Look::ForeignDone(before));
        }
    }

    fn not_enqueued(&mut self, instance: Instance, verb: Verb, owner: Owner, reason: String) {
        if let Owner::Rollout(attempt) = owner {
            if self.is_at_try(instance, attempt) {
                return self.roll_on(Event::JobRefused { instance, reason });
            }
            // There will be no job.
            return self.looked_plainly(instance);
        }
        let now = self.now.moment;
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let pause = match owner {
            Owner::Shutdown => PATIENCE,
            _ => doubled(PATIENCE, worker.refusals),
        };
        let is_news = worker.refusals == 0;
        worker.refusals = worker.refusals.saturating_add(1);
        worker.not_before = Some(now.saturating_add(pause));
        if is_news {
            self.error_of(instance, format!("failed to {} {instance}: {reason}", verb.word()));
        }
        self.looked_plainly(instance);
    }

    /// When this worker next has something to do.
    pub(super) fn wake_for(&self, worker: &Worker) -> Option<Moment> {
        let now = self.now.moment;
        let failed = worker.failed_since.filter(|_| worker.has_failed() && worker.retry.is_none());
        let times = [
            worker.look_at,
            worker.not_before,
            worker.retry.and_then(Retry::at),
            worker.pause.map(|pause| pause.until),
            failed.map(|since| since.saturating_add(PATIENCE)),
            worker.backoff.stable_at(&self.settings.backoff).filter(|_| worker.is_flapping_told),
        ];
        // If something is past due, it waits for another event first.
        times.into_iter().flatten().filter(|at| *at > now).min()
    }
}

/// `first`, doubled `times` times, but at most a minute.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(16))).min(LONGEST).max(first)
}

/// Whether this worker runs or is starting.
pub(super) fn is_up(worker: &Worker) -> bool {
    matches!(worker.info.active, ActiveState::Active | ActiveState::Activating)
}
