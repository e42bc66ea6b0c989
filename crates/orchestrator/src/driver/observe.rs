//! What workers do by themselves: crash, end, come back, be stopped by somebody.

use std::time::Duration;

use anyhow::Context as _;
use rollout::keep::Correction;
use rollout::{ActiveState, Event, Instance, JobResult};

use super::{Driver, LOOK_AFTER, Phase, Timer};
use crate::cluster::Worker;
use crate::fault;
use crate::listeners::SocketUnit;
use crate::manager::Sequence;
use crate::unit_info::Properties;

impl Driver {
    /// Some of a worker's properties changed.
    ///
    /// A signal tells what was, in the order in which it happened; that is what is needed to tell a worker that
    /// ended by itself from one that was stopped: at the moment it became inactive it had a job or had none.
    /// For the rollout, which needs to know what is, it is a reason to look.
    pub(super) async fn changed(&mut self, instance: Instance, properties: Properties, at: Sequence) {
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        let (active_before, restarts_before) = (worker.told.active, worker.told.restarts);
        worker.hear(&properties, at);
        let (active, restarts) = (worker.told.active, worker.told.restarts.saturating_sub(restarts_before));
        let is_other = (active, worker.told.restarts) != (active_before, restarts_before);
        if restarts > 0 && self.ended(instance, restarts).await {
            self.log_restart(instance);
        }
        let is_at_rest = matches!(active, ActiveState::Active | ActiveState::Inactive | ActiveState::Failed);
        if active != active_before && is_at_rest {
            self.look_at_socket().await;
        }
        match active {
            same if same == active_before => {}
            ActiveState::Inactive => self.became_inactive(instance).await,
            ActiveState::Active => {
                self.became_active(instance);
                self.dismiss_stand_ins().await;
            }
            // systemd 252 passes through here on its way to a restart; whether it stays is seen later.
            ActiveState::Failed => self.after(LOOK_AFTER, Timer::Look(instance)),
            ActiveState::Activating => self.new_process_begins(instance),
            ActiveState::Deactivating | ActiveState::Other => {}
        }
        if is_other && self.has_part(instance) && !self.is_at_hand(instance) {
            self.look(instance).await;
        }
    }

    /// A worker that has just become ready may have made the queue shorter. One that has ended may have been the last to serve
    /// an address that the unit no longer names. systemd may have read another unit.
    pub(super) async fn look_at_socket(&mut self) {
        if self.bus.is_some()
            && let Err(error) = self.read_socket().await
        {
            tracing::warn!("{error:#}; the shared queue keeps the length it has");
        }
    }

    /// The socket unit as it is now; what is known of its addresses is brought up to date.
    pub(super) async fn read_socket(&mut self) -> anyhow::Result<SocketUnit> {
        let (_, manager) = self.bus.as_ref().context("the system bus is gone; try again")?;
        let unit = manager.socket_unit().await?;
        self.listeners.tend(&unit);
        let missing = self.listeners.missing(&unit);
        self.unlistened = missing.into_iter().map(ToOwned::to_owned).collect();
        Ok(unit)
    }

    /// Whoever stopped the worker has it started again. And what the old process said while it drained is not what the
    /// new one failed with.
    fn new_process_begins(&mut self, instance: Instance) {
        self.hold(instance, false);
        let is_at_hand = self.is_at_hand(instance);
        if let Some(running) = self.rolling.as_mut().filter(|_| is_at_hand) {
            running.process_begins(instance);
        }
    }

    async fn became_inactive(&mut self, instance: Instance) {
        let has_job_of_ours = self.jobs.is_awaited(instance);
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        if worker.next_try.is_some() {
            // It flaps: the stop is ours, even where it took the place of systemd's own restart.
            return;
        }
        match worker.told.job.clone() {
            _ if self.phase == Phase::Stopping => {}
            Some(job) if self.jobs.is_ours(&job) => {}
            // A stop that somebody asked for, or one half of a restart: the job's end will tell.
            Some(job) => worker.stopping_job = Some(job),
            None if has_job_of_ours => {}
            None if instance.number() <= self.cluster.desired => self.ended_by_itself(instance).await,
            None => {}
        }
    }

    async fn ended_by_itself(&mut self, instance: Instance) {
        if !self.ended(instance, 1).await {
            return;
        }
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        let how = worker.last_exit.as_deref().unwrap_or("ended");
        tracing::warn!(worker = %instance, "{instance} {how} by itself; starting it again");
        self.after(Duration::ZERO, Timer::Start(instance));
    }

    fn became_active(&mut self, instance: Instance) {
        self.hold(instance, false);
        self.is_ready_again(instance);
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        worker.is_given_up = false;
        let (pid, restarts) = (worker.info.main_pid, worker.info.restarts);
        if worker.info.active != ActiveState::Active || pid == 0 {
            // An old signal: the worker has been seen stopped since, or its next process is on its way.
            return;
        }
        let told = std::mem::replace(&mut worker.told_ready, worker.info.invocation);
        let is_news = told != worker.info.invocation;
        if is_news && is_worth_telling(restarts) && !worker.is_flapping_told {
            let release =
                self.cluster.workers.get(&instance).and_then(|worker| self.cluster.release_of(worker));
            let release = release.map(|id| format!(", release {id}")).unwrap_or_default();
            tracing::info!(
                rollout = self.rolling.as_ref().map(|running| running.record.id),
                worker = %instance,
                step = "ready",
                "{instance} is ready, pid {pid}{release}"
            );
        }
    }

    /// Somebody else's job ended. If a worker had it when it became inactive and still is, it was a stop.
    pub(super) async fn foreign_job_removed(&mut self, job: &str) {
        let had_it = |worker: &Worker| worker.stopping_job.as_deref() == Some(job);
        let found = self.cluster.workers.iter_mut().find(|(_, worker)| had_it(worker));
        let Some((&instance, worker)) = found else { return };
        worker.stopping_job = None;
        self.inspect(instance).await;
        let is_inactive = |worker: &Worker| worker.info.active == ActiveState::Inactive;
        let is_wanted = instance.number() <= self.cluster.desired;
        if is_wanted && self.cluster.workers.get(&instance).is_some_and(is_inactive) {
            tracing::info!(
                worker = %instance,
                "{instance} was stopped on purpose and stays so; `systemctl start {}` brings it back",
                self.cluster.names.unit(instance)
            );
            self.hold(instance, true);
            self.roll_on(Event::Held(instance)).await;
            self.dismiss_stand_ins().await;
        }
    }

    fn hold(&mut self, instance: Instance, is_held: bool) {
        let noted = self.cluster.ledger.set_held(instance, is_held);
        self.warn_of_ledger(noted);
    }

    fn log_restart(&self, instance: Instance) {
        let Some(worker) = self.cluster.workers.get(&instance) else { return };
        let restarts = worker.info.restarts;
        if is_worth_telling(restarts) && !worker.is_flapping_told {
            let how = worker.last_exit.as_deref().unwrap_or("failed");
            tracing::warn!(
                rollout = self.rolling.as_ref().map(|running| running.record.id),
                worker = %instance,
                step = "crash",
                result = how,
                "{instance} {how}; systemd starts it again (restart {restarts})"
            );
        }
    }

    /// Says once that systemd has given a worker up.
    pub(super) fn log_if_given_up(&mut self, instance: Instance) {
        let unit = self.cluster.names.unit(instance);
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        // One that is stopped while it fails stays failed; it is started when its pause is over.
        let is_failed = worker.info.active == ActiveState::Failed && worker.next_try.is_none();
        let was_known = std::mem::replace(&mut worker.is_given_up, is_failed);
        if is_failed && !was_known {
            tracing::error!(
                worker = %instance,
                result = "failed",
                "{instance} {} and is not started again; `journalctl -u {unit}` tells why, \
                 `systemctl reload app-cluster` tries again",
                worker.last_exit.as_deref().unwrap_or("failed")
            );
        }
    }

    /// One of our jobs ended.
    pub(super) async fn job_finished(&mut self, instance: Instance, is_stop: bool, result: JobResult) {
        self.inspect(instance).await;
        if self.rolling.is_some() {
            fault::point("job-finished");
        }
        let Some(worker) = self.cluster.workers.get(&instance) else { return };
        let unit = worker.info.unit();
        if self.is_at_hand(instance) {
            self.roll_on(Event::JobFinished { instance, result, unit }).await;
        } else if result != JobResult::Done
            && !is_stop
            && self.phase != Phase::Stopping
            && !worker.is_flapping_told
        {
            let how = worker.last_exit.as_deref().unwrap_or("failed");
            tracing::warn!(worker = %instance, result = %result, "{instance} did not start: it {how}; systemd goes on trying");
        }
        self.job_is_over(instance, is_stop).await;
    }

    /// One of our jobs is over, whether that was told or not.
    pub(super) async fn job_is_over(&mut self, instance: Instance, is_stop: bool) {
        let is_inactive = |worker: &Worker| worker.info.active == ActiveState::Inactive;
        let is_surplus = instance.number() > self.cluster.desired && !self.has_part(instance);
        if is_surplus && self.cluster.workers.get(&instance).is_some_and(is_inactive) {
            tracing::info!(worker = %instance, "{instance} is stopped: {} workers are wanted", self.cluster.desired);
            self.forget(instance).await;
        } else {
            self.take_back(instance, is_stop).await;
        }
        self.maybe_ready().await;
        self.maybe_stopped();
    }

    /// Another number of workers may have been asked for while a job was under way: a worker that was started is stopped
    /// again if it is not wanted any more, and the other way round.
    async fn take_back(&mut self, instance: Instance, is_stop: bool) {
        let opposite = if is_stop { Correction::Start(instance) } else { Correction::Stop(instance) };
        if self.phase != Phase::Stopping && self.cluster.corrections().contains(&opposite) {
            self.make(opposite).await;
        }
    }

    /// Workers beyond the wanted number that stood in for one that is there again are not needed any more.
    async fn dismiss_stand_ins(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        for correction in self.cluster.corrections() {
            if matches!(correction, Correction::Stop(_)) {
                self.make(correction).await;
            }
        }
    }

    /// Forgets the surplus workers that have stopped.
    pub(super) async fn forget_surplus(&mut self) {
        let desired = self.cluster.desired;
        let is_over = |(instance, worker): &(&Instance, &Worker)| {
            let is_down = worker.info.active == ActiveState::Inactive && !self.jobs.is_awaited(**instance);
            instance.number() > desired && is_down
        };
        let over: Vec<_> = self.cluster.workers.iter().filter(is_over).map(|(i, _)| *i).collect();
        for instance in over {
            self.forget(instance).await;
        }
    }

    async fn forget(&mut self, instance: Instance) {
        self.cluster.workers.remove(&instance);
        let Some((_, manager)) = &self.bus else { return };
        if let Err(error) = manager.unwatch(instance).await {
            tracing::warn!(worker = %instance, "{error:#}; the bus goes on telling about {instance}");
        }
    }

    /// The pause of a worker that ended by itself is over.
    pub(super) async fn start_if_wanted(&mut self, instance: Instance) {
        if self.jobs.is_being_stopped(instance) {
            self.after(LOOK_AFTER, Timer::Start(instance));
            return;
        }
        self.inspect(instance).await;
        let Some(worker) = self.cluster.workers.get_mut(&instance) else { return };
        let was_paused = worker.next_try.take().is_some();
        if was_paused && worker.info.active == ActiveState::Failed {
            // Not that systemd has given it up: it failed before our stop could end it.
            worker.info.active = ActiveState::Inactive;
        }
        let is_wanted = self.cluster.corrections().contains(&Correction::Start(instance));
        if is_wanted && !self.is_rolled(instance) && self.phase != Phase::Stopping {
            self.start(instance).await;
        }
    }

    /// A stop was not answered.
    pub(super) async fn stop_if_unwanted(&mut self, instance: Instance) {
        self.inspect(instance).await;
        let is_unwanted = self.cluster.corrections().contains(&Correction::Stop(instance));
        if self.phase == Phase::Stopping || (is_unwanted && self.rolling.is_none()) {
            self.stop_worker(instance).await;
        }
    }
}

/// A crash loop is told at its 1st, 2nd, 4th, 8th … restart: often enough to see it, and no flood.
fn is_worth_telling(restarts: u32) -> bool {
    restarts == 0 || restarts.is_power_of_two()
}
