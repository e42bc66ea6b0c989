//! Finding out how things stand: at the start, and whenever signals may have been missed.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use rollout::plan::Candidate;
use rollout::{ActiveState, Event, Instance};
use sd_notify::NotifyState;

use super::{Driver, LOOK_AFTER, Phase, Timer};
use crate::cluster::{Worker, monotonic_usec};
use crate::history::State;
use crate::jobs::Missing;
use crate::journal;
use crate::manager::Manager;
use crate::names::Names;
use crate::releases::ReleaseId;

impl Driver {
    /// The first look: workers that run go on running, those that are missing are started.
    pub(super) async fn adopt(&mut self) -> anyhow::Result<()> {
        if let Some((_, manager)) = &self.bus {
            for instance in manager.loaded().await? {
                self.cluster.workers.entry(instance).or_default();
            }
        }
        self.look_at_socket().await;
        self.know_wanted().await;
        let running = self.cluster.workers.values().filter(|worker| worker.info.main_pid != 0).count();
        let is_cold = running == 0;
        if !self.cluster.workers.values().any(|worker| worker.info.unit().is_up()) {
            self.check_listener().await?;
        }
        // Callers find us only when nothing prevents the start.
        self.take_name().await?;
        if is_cold {
            self.forget_held();
        }
        self.find_unfinished(is_cold);
        self.choose_release(is_cold).await;
        match running {
            0 => tracing::info!("starting {} workers{}", self.cluster.desired, self.release_words()),
            n => tracing::info!("{n} workers run already and are not restarted{}", self.release_words()),
        }
        self.correct().await;
        if is_cold {
            self.start_failed().await;
        }
        self.maybe_ready().await;
        Ok(())
    }

    /// Without a listener no worker can start. systemd does not try a socket that failed again by itself, nor while the service
    /// runs that the socket starts: it does so each time that this one is started, so this one ends, and is started again.
    async fn check_listener(&self) -> anyhow::Result<()> {
        const RECENTLY: Duration = Duration::from_secs(60);
        let Some((_, manager)) = &self.bus else { return Ok(()) };
        let socket = &self.cluster.names.socket;
        let unit = manager.socket_unit().await?;
        if unit.state == ActiveState::Active {
            return match self.listeners.has_any_of(&unit) {
                true => Ok(()),
                false => self.have_it_listen_anew(manager).await,
            };
        }
        let (why, todo) = match unit.state {
            _ if unit.is_masked => ("it is masked".to_owned(), format!("run `systemctl unmask {socket}`")),
            ActiveState::Failed => {
                let said = journal::failure_of(socket, SystemTime::now() - RECENTLY).await;
                let todo = format!("free the address or change it with `systemctl edit {socket}`");
                (said.unwrap_or_else(|| "it has failed".to_owned()), todo)
            }
            state => (format!("it is {state}"), format!("`journalctl -u {socket}` may say why")),
        };
        bail!(
            "{socket} does not listen, and no worker runs: {why}; it is tried again every few seconds, {todo}"
        )
    }

    /// The socket is active, no worker runs, and systemd has lost the listener: it does so when it reads a unit with another
    /// address while the socket is active, and a start that comes before the end of a stop leaves it so
    /// (docs/decisions/0029). Only a stop of the socket helps, and only our second start restarts the
    /// target: `systemctl start` waits for the end of the first.
    async fn have_it_listen_anew(&self, manager: &Manager) -> anyhow::Result<()> {
        let Names { socket, target, .. } = &self.cluster.names;
        let why = format!("{socket} is active, but systemd has no listener for it, and no worker runs");
        if !manager.was_restarted_by_systemd().await? {
            bail!("{why}: {target} is restarted in a few seconds, and then listens where the unit says");
        }
        manager.restart_target().await.with_context(|| why.clone())?;
        bail!("{why}: {target} is being restarted, to listen where the unit says")
    }

    /// The release that is current now. Only when no worker runs may the packaged one become it without a rollout, and
    /// never one that a rollout has given up, that somebody has left, or on whose way the cluster was cut off.
    async fn choose_release(&mut self, is_cold: bool) {
        let current = self.releases.current();
        let packaged = match self.packaged().await {
            Ok(packaged) if is_cold || current.is_none() => packaged,
            Ok(_) => None,
            Err(error) => {
                tracing::error!("{error:#}; going on with the release that is current");
                None
            }
        };
        let cut_off = self.history.entries().last().filter(|entry| entry.state == State::Interrupted);
        let is_good = |id: &ReleaseId| {
            !self.releases.is_rejected(id) && cut_off.and_then(|e| e.to.as_ref()) != Some(id)
        };
        let wanted = packaged.filter(|id| current.is_none() || is_good(id));
        if let Some(id) = wanted
            && let Err(error) = self.releases.make_current(&id)
        {
            tracing::error!("{error:#}; going on with the release that is current");
        }
        self.cluster.release = self.releases.current();
        if let Some(id) = self.cluster.release.clone()
            && self.cluster.ledger.last_release() != Some(&id)
        {
            let oldest = self.cluster.oldest_process();
            let recorded = self.cluster.ledger.record_release(monotonic_usec(), id, oldest);
            self.warn_of_ledger(recorded);
        }
    }

    /// Whoever starts the whole cluster wants all of it: no worker stays stopped from last time.
    fn forget_held(&mut self) {
        let forgotten = self.cluster.ledger.release_held();
        self.warn_of_ledger(forgotten);
    }

    pub(super) fn warn_of_ledger(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            let dir = self.cluster.names.runtime_dir.display();
            tracing::warn!(
                "failed to write to {dir}: {error}; an orchestrator started after this one may show wrong releases"
            );
        }
    }

    /// A person who starts the cluster has fixed what made workers fail for good.
    async fn start_failed(&mut self) {
        let is_wanted = |c: &Candidate| c.instance.number() <= self.cluster.desired;
        let failed = self.cluster.candidates().into_iter().filter(|c| is_wanted(c) && is_failed(c.unit));
        for candidate in failed.collect::<Vec<_>>() {
            self.start(candidate.instance).await;
        }
    }

    fn release_words(&self) -> String {
        self.cluster.release.as_ref().map(|id| format!(", release {id}")).unwrap_or_default()
    }

    /// Makes sure that every wanted worker is known, read and watched.
    pub(super) async fn know_wanted(&mut self) {
        self.know(Instance::first(self.cluster.desired)).await;
    }

    /// Makes sure that these workers are known, and that every worker known is read and watched.
    pub(super) async fn know(&mut self, instances: impl IntoIterator<Item = Instance>) {
        for instance in instances {
            self.cluster.workers.entry(instance).or_default();
        }
        let unwatched: Vec<_> =
            self.cluster.workers.iter().filter(|(_, w)| !w.is_watched).map(|(i, _)| *i).collect();
        for instance in unwatched {
            let Some((_, manager)) = &self.bus else { return };
            match manager.watch(instance).await {
                Ok(()) => self.inspect(instance).await,
                Err(error) => {
                    tracing::warn!(worker = %instance, "{error:#}; {instance} is not watched for now")
                }
            }
            if let Some(worker) = self.cluster.workers.get_mut(&instance) {
                worker.is_watched = true;
                worker.told = worker.info.clone();
            }
        }
    }

    /// Says READY=1 once no start is under way any more. A worker that failed to start does not hold it up:
    /// systemd goes on trying, and the orchestrator is ready to do its part.
    pub(super) async fn maybe_ready(&mut self) {
        if self.phase == Phase::Starting && self.jobs.is_empty() {
            self.phase = Phase::Running;
            let summary = self.cluster.summary();
            tracing::info!("{summary}");
            self.update_snapshot();
            super::notify(&[NotifyState::Ready]);
            Box::pin(self.go_on()).await;
        }
    }

    /// Signals may have been missed: reads everything anew, and never takes silence for failure.
    pub(super) async fn look_again(&mut self, why: &str) {
        let Some((_, manager)) = &self.bus else { return };
        tracing::info!("{why}: looking at all workers again");
        if let Err(error) = manager.subscribe().await {
            tracing::warn!("{error:#}; changes are seen late");
        }
        self.jobs.forget_outdated();
        self.look_at_socket().await;
        self.know_wanted().await;
        let known: Vec<_> = self.cluster.workers.keys().copied().collect();
        for instance in known {
            self.look(instance).await;
        }
        if self.phase == Phase::Running {
            self.correct().await;
        }
    }

    /// Looks at a worker that is not, or not yet, as it should be.
    pub(super) async fn look_if_awaited(&mut self, instance: Instance) {
        let is_active = |worker: &Worker| worker.info.active == ActiveState::Active;
        let has_job = self.is_at_hand(instance) || self.jobs.is_awaited(instance);
        if has_job || !self.cluster.workers.get(&instance).is_some_and(is_active) {
            self.look(instance).await;
        }
    }

    /// Looks at one worker: the end of its job, or of the worker, may have been missed.
    pub(super) async fn look(&mut self, instance: Instance) {
        self.inspect(instance).await;
        let Some(worker) = self.cluster.workers.get(&instance) else { return };
        let unit = worker.info.unit();
        if unit.has_job {
            self.after(LOOK_AFTER, Timer::Look(instance));
            self.roll_on(Event::Looked { instance, unit }).await;
            return;
        }
        self.give_up_lost_jobs(instance).await;
        self.log_if_given_up(instance);
        if self.has_part(instance) {
            self.roll_on(Event::Looked { instance, unit }).await;
            if self.is_at_hand(instance) {
                self.after(LOOK_AFTER, Timer::Look(instance));
            }
        }
    }

    /// The unit has no job any more. The signal that says so may still be in our queue, so a job counts as lost only
    /// when it is still known after a while, not at the next look: every signal is a reason to look.
    async fn give_up_lost_jobs(&mut self, instance: Instance) {
        match self.jobs.miss(instance, Instant::now(), LOOK_AFTER) {
            Missing::Nothing => {}
            Missing::Perhaps => self.after(LOOK_AFTER, Timer::Look(instance)),
            Missing::Lost { is_stop } => self.job_is_over(instance, is_stop).await,
        }
    }

    /// Reads the state of all workers anew.
    pub(super) async fn inspect_all(&mut self) {
        let known: Vec<_> = self.cluster.workers.keys().copied().collect();
        for instance in known {
            self.inspect(instance).await;
        }
    }

    /// Reads a worker's state anew. What cannot be read stays as it was known.
    pub(super) async fn inspect(&mut self, instance: Instance) {
        let Some((_, manager)) = &self.bus else { return };
        match manager.inspect(instance).await {
            Ok(reading) => {
                if let Some(worker) = self.cluster.workers.get_mut(&instance) {
                    worker.read(reading);
                }
            }
            Err(error) => tracing::warn!(worker = %instance, "{error:#}; looking again later"),
        }
    }
}

fn is_failed(unit: rollout::Unit) -> bool {
    unit.active == ActiveState::Failed
}
