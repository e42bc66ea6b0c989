//! What systemd reports: changes of units, ends of jobs, and the answers to inspections.
//!
//! The reports come in the order in which systemd sent them, so the latest one is true. The id of a job tells
//! whether the orchestrator asked for it; other jobs are foreign. If a foreign job is done and the unit is
//! down afterwards, in the same run, an operator stopped it. If the unit was started in between, the worker
//! has ended by itself.

use names::Instance;

use super::worker::{Job, Look, Owner, Progress, Verb, Worker};
use super::{Activity, Cluster, PATIENCE, Phase, Purpose};
use crate::effect::Call;
use crate::event::Event;
use crate::info::{Change, UnitInfo};
use crate::input::SocketState;
use crate::ledger::StoppedBy;
use crate::unit::{ActiveState, InvocationId, JobId, JobResult};

impl Cluster {
    /// Some properties of a worker changed.
    pub(super) fn changed(&mut self, instance: Instance, change: Change) {
        if let Some(worker) = self.workers.get(&instance) {
            // The answer to the first inspection will be newer than this.
            if worker.is_known {
                self.learn(instance, |info| info.apply(change));
            }
        } else if change.active.is_some_and(is_up) && !matches!(self.phase, Phase::Opening) {
            // An operator or another program has started it, maybe just after systemd listed the units.
            self.know(instance);
        }
    }

    /// Makes sure that this worker is known, or is being inspected.
    pub(super) fn know(&mut self, instance: Instance) {
        let is_read = self.is_read_for_rollout(instance);
        let worker = self.workers.entry(instance).or_default();
        let is_asked = worker.looks > 0 || !worker.failed_looks.is_empty() || is_read;
        if !worker.is_known && !is_asked {
            self.inspect(instance, Look::Plain);
        }
    }

    pub(super) fn inspect(&mut self, instance: Instance, look: Look) {
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        worker.looks += 1;
        self.call(Call::Inspect(instance), Purpose::Inspect(instance, look));
    }

    /// A worker was inspected for the reason `look`.
    pub(super) fn inspected(&mut self, instance: Instance, look: Look, read: Result<Box<UnitInfo>, String>) {
        let later = self.in_time(PATIENCE);
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        worker.looks = worker.looks.saturating_sub(1);
        match read {
            Ok(info) => {
                self.learn(instance, |known| known.replace(*info));
                self.looked(instance, look);
                self.leave_stranger(instance);
            }
            Err(error) => {
                worker.failed_looks.push(look);
                worker.look_at = Some(later);
                if self.is_connected {
                    self.warn_of(instance, format!("{error}; looking again later"));
                }
            }
        }
    }

    /// Forgets a unit beyond the wanted number that does not belong to the cluster.
    fn leave_stranger(&mut self, instance: Instance) {
        let is_wanted = instance.number() <= self.settings.workers || self.has_part(instance);
        let is_stranger = self.workers.get(&instance).is_some_and(|worker| worker.info.is_stranger());
        if is_stranger && !is_wanted && self.has_adopted() {
            self.workers.remove(&instance);
        }
    }

    fn looked(&mut self, instance: Instance, look: Look) {
        match look {
            Look::Plain => self.looked_plainly(instance),
            Look::JobEnded(verb, owner, end) => self.job_is_over(instance, verb, owner, end),
            Look::ForeignDone(before) => {
                self.foreign_job_is_done(instance, before);
                self.looked_plainly(instance);
            }
            Look::Relinked(rollout) => {
                if let Some(rolling) = self.rolling_mut().filter(|rolling| rolling.record.id == rollout) {
                    rolling.machine.is_seen_anew(instance);
                }
                self.looked_plainly(instance);
            }
            Look::Settled(rollout, attempt) => {
                self.has_settled(instance, rollout, attempt);
                // If the inspection failed and was repeated, it replaced a plain one. That one would have
                // noticed a job whose end was missed.
                self.look_again_if_awaited(instance);
            }
        }
    }

    /// Updates what is known of a worker, and does what follows from the change.
    pub(super) fn learn(&mut self, instance: Instance, update: impl FnOnce(&mut UnitInfo)) {
        let now = self.now.moment;
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let was_known = worker.is_known;
        let (active_before, restarts_before) = (worker.info.active, worker.info.restarts);
        let cut_before = worker.info.cut;
        update(&mut worker.info);
        worker.is_known = true;
        worker.note_exit();
        let (active, restarts) = (worker.info.active, worker.info.restarts);
        worker.has_run |= is_up(active);
        if active == ActiveState::Failed {
            worker.failed_since.get_or_insert(now);
        } else {
            // Another client has started it. What follows the failure does not follow the next one.
            (worker.failed_since, worker.retry) = (None, None);
        }
        let cut = if was_known && worker.info.cut != cut_before { worker.info.cut } else { 0 };
        let crashes = if was_known { restarts.saturating_sub(restarts_before) } else { 0 };
        if let Activity::Rolling(rollout) = &mut self.activity {
            rollout.sees_run(instance, &worker.info);
            if rollout.machine.step(instance).is_some() {
                rollout.cut += u64::from(cut);
            }
        }
        if crashes > 0 && self.ended(instance, crashes) {
            self.log_restart(instance);
        }
        if active != active_before || !was_known {
            self.state_changed(instance, active);
        }
        let is_other = (active, restarts) != (active_before, restarts_before);
        let Some(unit) = self.workers.get(&instance).map(|worker| worker.unit()) else { return };
        if self.is_at_hand(instance) {
            // The rollout waits for the end of the job. But the new state may decide whether it takes other
            // workers.
            if let Some(rollout) = self.rolling_mut() {
                rollout.machine.note(instance, unit);
            }
        } else if is_other && self.has_part(instance) {
            self.roll_on(Event::Looked { instance, unit });
        }
    }

    fn state_changed(&mut self, instance: Instance, active: ActiveState) {
        match active {
            ActiveState::Active => self.became_active(instance),
            // The worker was stopped, and is being started again.
            ActiveState::Activating => self.release_hold(instance),
            ActiveState::Inactive | ActiveState::Failed => {}
            ActiveState::Deactivating | ActiveState::Other => return,
        }
        // A worker that became ready may have shortened the queue. A worker that ended may have been the last
        // to serve an address that the unit no longer names.
        if active != ActiveState::Activating {
            self.read_socket();
        }
    }

    fn became_active(&mut self, instance: Instance) {
        self.release_hold(instance);
        let now = self.now.moment;
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        (worker.refusals, worker.retry) = (0, None);
        if !worker.is_being_stopped() {
            worker.backoff.ready(now);
        }
        let is_news = worker.told_ready != worker.info.invocation;
        if is_news && worker.info.main_pid != 0 {
            worker.told_ready = worker.info.invocation;
            self.log_ready(instance);
        }
    }

    /// Forgets that the worker was stopped, because it runs. While the orchestrator stops it, such news may
    /// be older than the stop. What the predecessor has noted is not forgotten before the workers are adopted.
    fn release_hold(&mut self, instance: Instance) {
        let is_being_stopped = self.workers.get(&instance).is_some_and(Worker::is_being_stopped);
        if self.has_adopted() && !is_being_stopped && self.ledger.stopped.remove(&instance).is_some() {
            self.is_ledger_saved = false;
        }
    }

    /// A job of a worker's unit ended.
    pub(super) fn job_removed(&mut self, instance: Instance, id: JobId, result: &JobResult) {
        let was_probe = self.probes.contains(&id);
        self.probes.retain(|probe| *probe != id);
        let now = self.now.moment;
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let look = match &worker.job {
            Some(job) if job.progress == Progress::Enqueued(id) => {
                let look = Look::JobEnded(job.verb, job.owner, Some(result.clone()));
                worker.job = None;
                look
            }
            _ if was_probe => Look::Plain,
            _ if worker.replaced_jobs.contains(&id) => {
                worker.replaced_jobs.retain(|job| *job != id);
                Look::Plain
            }
            _ if *result == JobResult::Done && worker.may_have_asked(now) => {
                worker.unanswered = None;
                Look::Plain
            }
            // systemd reports the change of the unit before the end of the job that caused it.
            _ if *result == JobResult::Done && !is_up(worker.info.active) => {
                worker.verdicts += 1;
                Look::ForeignDone(worker.info.invocation)
            }
            _ => Look::Plain,
        };
        self.inspect(instance, look);
    }

    /// A foreign job, which the orchestrator did not ask for, is done. If the worker is down, in the run that
    /// was known before, the job was a stop.
    fn foreign_job_is_done(&mut self, instance: Instance, before: Option<InvocationId>) {
        let is_wanted = instance.number() <= self.settings.workers;
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        worker.verdicts = worker.verdicts.saturating_sub(1);
        if worker.job.as_ref().is_some_and(may_start_yet) {
            worker.doubt = Some(before);
            return;
        }
        let is_stopped = worker.info.is_down()
            && !is_to_start(worker)
            && (worker.info.job.is_none() || worker.has_own_job())
            // systemd unloads a unit that is down. After it is loaded again, it has no invocation id.
            && (worker.info.invocation == before || worker.info.invocation.is_none());
        if !is_stopped || !is_wanted || !matches!(self.phase, Phase::Starting | Phase::Running) {
            return;
        }
        (worker.pause, worker.retry, worker.has_run) = (None, None, false);
        worker.leave_job();
        // What the journal says may be older.
        self.purposes.retain(|_, purpose| *purpose != Purpose::WasStopped(instance));
        self.ledger.stopped.insert(instance, StoppedBy::Operator);
        self.is_ledger_saved = false;
        self.log_held(instance);
        self.roll_on(Event::Held(instance));
    }

    /// A worker was inspected only because a signal may have been missed.
    pub(super) fn looked_plainly(&mut self, instance: Instance) {
        let now = self.now.moment;
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let unit = worker.unit();
        let present = worker.info.job.map(Progress::Enqueued);
        let awaited = worker.job.clone().filter(|job| matches!(job.progress, Progress::Enqueued(_)));
        // A unit has one job. If it has another one, even that of a crash loop, the orchestrator's job is
        // gone.
        let missing = awaited.filter(|job| Some(&job.progress) != present.as_ref());
        if let Some(job) = missing {
            // The signal about its end comes soon, or was missed.
            let since = *worker.job_missing_since.get_or_insert(now);
            if now.saturating_sub(since) >= PATIENCE {
                worker.leave_job();
                return self.job_is_over(instance, job.verb, job.owner, None);
            }
        } else {
            worker.job_missing_since = None;
        }
        if self.has_part(instance) {
            self.roll_on(Event::Looked { instance, unit });
        }
        self.look_again_if_awaited(instance);
    }

    /// While the end of a job is awaited, schedules another inspection, because the signal may have been
    /// missed. The first one comes after a second, later ones less and less often.
    fn look_again_if_awaited(&mut self, instance: Instance) {
        const MOST: std::time::Duration = std::time::Duration::from_secs(15);
        let (now, is_at_hand) = (self.now.moment, self.is_at_hand(instance));
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let is_missing = worker.job_missing_since.is_some() || (is_at_hand && worker.job.is_none());
        if worker.job.is_none() && worker.info.job.is_none() && !is_at_hand {
            return;
        }
        worker.patience =
            if is_missing { PATIENCE } else { worker.patience.saturating_mul(2).clamp(PATIENCE, MOST) };
        worker.look_at = Some(now.saturating_add(worker.patience));
    }

    /// A job of the orchestrator is over, and the worker was inspected after that. `end` is the result, if
    /// systemd reported it.
    fn job_is_over(&mut self, instance: Instance, verb: Verb, owner: Owner, end: Option<JobResult>) {
        let Some(worker) = self.workers.get_mut(&instance) else { return };
        let unit = worker.unit();
        if verb == Verb::Stop && worker.info.is_down() {
            worker.has_run = false;
        }
        let is_of_rollout = matches!(owner, Owner::Rollout(attempt) if self.is_at_try(instance, attempt));
        if verb == Verb::Stop && owner == Owner::Keeper {
            self.log_surplus_stopped(instance);
        }
        let is_told = end.is_some();
        match end {
            Some(result) if is_of_rollout => self.roll_on(Event::JobFinished { instance, result, unit }),
            Some(result) if owner == Owner::Keeper && verb == Verb::Start && result != JobResult::Done => {
                self.log_not_started(instance, &result);
            }
            _ => {}
        }
        if self.has_part(instance) && !(is_of_rollout && is_told) {
            self.roll_on(Event::Looked { instance, unit });
        }
        self.look_again_if_awaited(instance);
    }

    /// Inspects the workers for which that is due.
    pub(super) fn look_at_what_is_due(&mut self) {
        let now = self.now.moment;
        let is_due = |worker: &Worker| worker.look_at.is_some_and(|at| at <= now);
        let due: Vec<_> = self.workers.iter().filter(|(_, worker)| is_due(worker)).map(|(i, _)| *i).collect();
        for instance in due {
            let Some(worker) = self.workers.get_mut(&instance) else { continue };
            worker.look_at = None;
            let failed = std::mem::take(&mut worker.failed_looks);
            if failed.is_empty() {
                self.inspect(instance, Look::Plain);
            }
            for look in failed {
                self.inspect(instance, look);
            }
        }
    }

    /// Reads the socket unit, to update its addresses. The call also restores the length of the queue.
    pub(super) fn read_socket(&mut self) {
        if self.is_connected && self.has_adopted() && !std::mem::replace(&mut self.is_reading_socket, true) {
            self.call(Call::Socket, Purpose::Socket);
        }
    }

    pub(super) fn socket_read(&mut self, socket: Result<SocketState, String>) {
        self.is_reading_socket = false;
        match socket {
            Ok(socket) => self.socket = Some(socket),
            Err(error) if self.is_connected => {
                self.warn(format!("{error}; the shared queue keeps the length it has"));
            }
            Err(_) => {}
        }
    }
}

/// Whether this job may still start the worker, although a foreign job on it is done. systemd has not said
/// yet whether it accepts this job.
fn may_start_yet(job: &Job) -> bool {
    job.verb == Verb::Start && matches!(job.progress, Progress::Asked(_))
}

/// Whether the present job of the unit is the orchestrator's start, which came after a foreign job.
fn is_to_start(worker: &Worker) -> bool {
    worker.has_own_job() && worker.job.as_ref().is_some_and(|job| job.verb == Verb::Start)
}

fn is_up(active: ActiveState) -> bool {
    matches!(active, ActiveState::Active | ActiveState::Activating)
}
