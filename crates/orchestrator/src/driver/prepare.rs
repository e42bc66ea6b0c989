//! The beginning of a rollout: everything that can be refused is refused here, before the first worker is touched.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use config::Deadline;
use rollout::numbers::{Limits, Millionths};
use rollout::plan::{Candidate, Planned, plan};
use rollout::{ActiveState, Instance, OnFailure, Policy, Rollout};

use super::Driver;
use crate::cluster::monotonic_usec;
use crate::fault;
use crate::history::{Entry, Kind, State};
use crate::listeners::SocketUnit;
use crate::orders::{Order, Wish};
use crate::releases::ReleaseId;
use crate::running::{Prepared, Running, epoch_usec};

/// The longest that a step is given when systemd's own limits are off.
const LONGEST_STEP: Duration = Duration::from_secs(24 * 60 * 60);

impl Driver {
    pub(super) async fn begin_rollout(&mut self, id: u64, order: Order) -> Result<(), api::Error> {
        let only = match &order.wish {
            Wish::Recycle(workers) => Some(workers.clone()),
            _ => None,
        };
        // What a person is about to change is not for a worker to bring about.
        let settings = if only.is_some() { self.settings.clone() } else { super::load_settings()? };
        let refused = |error: anyhow::Error| api::Error::Refused(format!("{error:#}"));
        check_canary(&settings, order.canary).map_err(refused)?;
        let socket = self.read_socket().await.map_err(refused)?;
        self.check_systemd(&settings, &socket).await.map_err(refused)?;
        let (kind, target) = self.target(&order.wish).await?;
        let current = self.releases.current();
        let from = current.clone().filter(|current| target.as_ref().is_some_and(|to| to != current));
        let to = target.or(current);
        let step_timeout = self.step_timeout(&settings).await.map_err(refused)?;
        let prepared = Prepared { kind, by: order.by, from, to, canary: order.canary, only, step_timeout };
        let begun_usec = self.write_down(id, &prepared).map_err(refused)?;
        self.go_by(settings);
        self.know_wanted().await;
        self.start_machine(id, prepared, begun_usec).await;
        Ok(())
    }

    /// The release to bring; none if workers are to be restarted on the one that is current.
    async fn target(&self, wish: &Wish) -> Result<(Kind, Option<ReleaseId>), api::Error> {
        let refused = |error: anyhow::Error| api::Error::Refused(format!("{error:#}"));
        let (kind, to) = match wish {
            Wish::Reload => match self.packaged().await.map_err(refused)? {
                Some(id) => (Kind::Package, id),
                None => return Ok((Kind::Reload, None)),
            },
            Wish::Recycle(_) => return Ok((Kind::Recycle, None)),
            Wish::Deploy(id) => (Kind::Deploy, id.clone()),
            Wish::Undo(id) => (Kind::Undo, id.clone()),
            Wish::Rollback(Some(id)) => (Kind::Rollback, id.clone()),
            Wish::Rollback(None) => (Kind::Rollback, self.previous()?),
        };
        self.check_known(&to)?;
        self.releases.check_runnable(&to).map_err(refused)?;
        Ok((kind, Some(to)))
    }

    /// What the package brings, if that is neither current nor what somebody has left on purpose.
    pub(super) async fn packaged(&self) -> anyhow::Result<Option<ReleaseId>> {
        let staged = self.stage.packaged().await?;
        if let Some(id) = staged.as_ref().filter(|id| self.history.lineage().was_left(id)) {
            tracing::info!(
                "the package's release {id} was left by a rollback and stays so; `app-cluster rollback {id}` goes to it"
            );
            return Ok(None);
        }
        Ok(staged)
    }

    /// The release that `rollback` without a name goes to.
    fn previous(&self) -> Result<ReleaseId, api::Error> {
        let none = || {
            let message = "there is no release to go back to; `app-cluster rollback ID` goes to one that `app-cluster releases` lists";
            api::Error::NoSuchRelease(message.to_owned())
        };
        let current = self.releases.current().ok_or_else(none)?;
        let lineage = self.history.lineage();
        let way_back = lineage.before(&current).find(|id| self.releases.may_go_back_to(id));
        way_back.cloned().ok_or_else(none)
    }

    /// Whether systemd would do what it will be asked for.
    async fn check_systemd(&self, settings: &config::Settings, unit: &SocketUnit) -> anyhow::Result<()> {
        let (_, manager) = self.bus.as_ref().context("the system bus is gone; try again")?;
        let names = &self.cluster.names;
        let socket = &names.socket;
        if unit.is_masked {
            bail!(
                "{socket} is masked: a worker started now would get no listener; `systemctl unmask {socket}`, then `app-cluster rebind`"
            );
        }
        if unit.state != ActiveState::Active {
            bail!(
                "{socket} is {}: a worker started now would get no listener; \
                 `systemctl stop {service} && systemctl reset-failed {socket} && systemctl start {service}` repairs it",
                unit.state,
                service = names.service,
            );
        }
        if !self.listeners.has_any_of(unit) {
            let words = self.missing_words().unwrap_or_default();
            bail!("a worker started now would get no listener: {words}");
        }
        let mut changed = None;
        for &instance in self.cluster.workers.keys() {
            let unit = names.unit(instance);
            let load_state = manager.load_state(instance).await?;
            if load_state != "loaded" {
                bail!(
                    "systemd cannot use the unit files of {unit} (it says `{load_state}`): it could not be started; \
                     `systemd-analyze verify {unit}` tells what is wrong, then `systemctl daemon-reload`"
                );
            }
            if changed.is_none() && manager.needs_daemon_reload(instance).await? {
                changed = Some(instance);
            }
        }
        if let Some(instance) = changed {
            tracing::warn!(
                "the unit files of {instance} changed on disk: workers are started as before; \
                 `systemctl daemon-reload` and a reload bring the change"
            );
        }
        // Stopping what does not run does nothing, and is refused where stopping what runs would be.
        let beyond =
            super::wanted(settings).max(self.cluster.desired).saturating_add(settings.rollout.surge.max(1));
        if let Some(unused) =
            Instance::new(beyond).filter(|unused| !self.cluster.workers.contains_key(unused))
        {
            manager.may_command(unused).await?;
        }
        Ok(())
    }

    pub(super) async fn step_timeout(&self, settings: &config::Settings) -> anyhow::Result<Duration> {
        let settle = settings.rollout.settle;
        if let Deadline::After(deadline) = settings.rollout.worker_deadline {
            return Ok(deadline);
        }
        let (_, manager) = self.bus.as_ref().context("the system bus is gone; try again")?;
        let Some(&first) = self.cluster.workers.keys().next() else { return Ok(settle) };
        let units_own = manager.restart_timeout(first).await?;
        Ok(units_own.saturating_add(settle).min(LONGEST_STEP))
    }

    /// Writes down what is about to happen, and makes the new release current; or changes nothing. Returns when it
    /// began, by CLOCK_MONOTONIC.
    fn write_down(&mut self, id: u64, prepared: &Prepared) -> anyhow::Result<u64> {
        if !prepared.is_recorded() {
            return Ok(monotonic_usec());
        }
        let runtime_dir = self.cluster.names.runtime_dir.display();
        let boot_id = self.cluster.names.boot().with_context(|| {
            format!("failed to write to {runtime_dir}; no worker was touched, make room there and try again")
        })?;
        let begun_monotonic_usec = monotonic_usec();
        let entry = Entry {
            id,
            begun_usec: epoch_usec(SystemTime::now()),
            begun_monotonic_usec,
            boot_id,
            ended_usec: None,
            kind: prepared.kind,
            by: prepared.by.clone(),
            from: prepared.from.clone(),
            to: prepared.to.clone(),
            canary: prepared.canary,
            state: State::Running,
            failure: None,
        };
        // One that could not be gone on with is no more than that, now that another begins.
        if let Some(stale) = self.history.unfinished().map(|entry| entry.id) {
            let noted = self.history.update(stale, State::Interrupted, None, Some(entry.begun_usec));
            self.warn_of_history(noted);
        }
        let state_dir = self.cluster.names.state_dir.display();
        self.history.begin(entry).with_context(|| {
            format!("failed to write to {state_dir}; no worker was touched, make room there and try again")
        })?;
        fault::point("begun");
        if let (Some(from), Some(to)) = (&prepared.from, &prepared.to)
            && let Err(error) = self.switch_release(Some(from), to)
        {
            let failure = Some(format!("{error:#}"));
            let ended = Some(epoch_usec(SystemTime::now()));
            let noted = self.history.update(id, State::Aborted, failure, ended);
            self.warn_of_history(noted);
            return Err(error.context("no worker was touched"));
        }
        fault::point("flipped");
        Ok(begun_monotonic_usec)
    }

    /// Makes `to` current, or changes nothing.
    pub(super) fn switch_release(&mut self, from: Option<&ReleaseId>, to: &ReleaseId) -> anyhow::Result<()> {
        let oldest = self.cluster.oldest_process();
        let ledger = &mut self.cluster.ledger;
        let runtime_dir = &self.cluster.names.runtime_dir;
        let recorded = ledger.record_release(monotonic_usec(), to.clone(), oldest);
        let flipped = recorded
            .with_context(|| {
                format!("failed to write to {}; make room there and try again", runtime_dir.display())
            })
            .and_then(|()| self.releases.make_current(to));
        if let (Err(_), Some(from)) = (&flipped, from) {
            let taken_back = ledger.record_release(monotonic_usec(), from.clone(), oldest);
            self.warn_of_ledger(taken_back);
        }
        self.cluster.release = self.releases.current();
        flipped
    }

    /// Starts the machine on what was prepared, or goes on with it: a process that began after the rollout and runs the
    /// release to come is not replaced once more, be it a predecessor's work or that of a crash.
    pub(super) async fn start_machine(&mut self, id: u64, prepared: Prepared, begun_usec: u64) {
        self.inspect_all().await;
        let is_new = |instance: &Instance| {
            let release =
                self.cluster.workers.get(instance).and_then(|worker| self.cluster.release_of(worker));
            prepared.from.is_none() || release == prepared.to.as_ref()
        };
        let replaced: Vec<_> = self.started_since(begun_usec).into_iter().filter(is_new).collect();
        let planned = self.plan(&prepared.only, |instance| replaced.contains(&instance)).await;
        let (machine, actions) = Rollout::begin(&planned, self.policy(&prepared));
        let wanted = planned.iter().filter(|p| p.instance.number() <= self.cluster.desired).count();
        let deadline = self.rollout_deadline(prepared.step_timeout, planned.len());
        let running = Running::new(id, machine, prepared, deadline);
        tracing::info!(
            rollout = id,
            step = "begin",
            "rollout {id}: {} of {wanted} workers, asked for by {}",
            running.goal(),
            running.record.by
        );
        self.run_machine(running, actions).await;
    }

    /// The plan for these workers, or for all. Workers that ask to be replaced are so one at a time, whatever the
    /// settings let a rollout do.
    pub(super) async fn plan(
        &mut self,
        only: &Option<Vec<Instance>>,
        is_replaced: impl Fn(Instance) -> bool,
    ) -> Vec<Planned> {
        let desired = self.cluster.desired;
        let surge = self.settings.rollout.surge.min(if only.is_some() { 1 } else { u32::MAX });
        let has_part = |candidate: &Candidate| {
            let instance = candidate.instance;
            instance.number() > desired || only.as_ref().is_none_or(|only| only.contains(&instance))
        };
        let candidates =
            |driver: &Self| -> Vec<_> { driver.cluster.candidates().into_iter().filter(has_part).collect() };
        let extra: Vec<_> =
            plan(&candidates(self), desired, surge, |_| false).iter().map(|p| p.instance).collect();
        self.know(extra).await;
        plan(&candidates(self), desired, surge, is_replaced)
    }

    pub(super) fn policy(&self, prepared: &Prepared) -> Policy {
        let settings = &self.settings.rollout;
        Policy {
            settle: settings.settle,
            limits: limits(settings, prepared.kind),
            max_unavailable: match prepared.only {
                Some(_) => u32::from(settings.surge == 0),
                None => settings.max_unavailable,
            },
            on_failure: match settings.on_failure {
                config::OnFailure::Rollback => OnFailure::Rollback,
                config::OnFailure::Halt => OnFailure::Halt,
            },
            has_previous: prepared.from.is_some(),
            canary: prepared.canary,
        }
    }

    /// How long the whole rollout may take.
    pub(super) fn rollout_deadline(&self, step_timeout: Duration, steps: usize) -> Duration {
        match self.settings.rollout.deadline {
            Deadline::After(deadline) => deadline,
            Deadline::Auto => {
                // One more, for the extra worker's stop.
                let steps = u32::try_from(steps + 1).unwrap_or(u32::MAX);
                step_timeout.checked_mul(steps).unwrap_or(LONGEST_STEP)
            }
        }
    }
}

/// What a new worker is held to beside the old ones. Whoever goes back does so because of the release that would be the
/// measure.
fn limits(settings: &config::RolloutSettings, kind: Kind) -> Limits {
    let millionths = |ratio: config::Ratio| Millionths(ratio.millionths());
    match kind {
        Kind::Rollback | Kind::Undo | Kind::Recycle => Limits::NONE,
        Kind::Package | Kind::Deploy | Kind::Reload => Limits {
            max_error_ratio: settings.max_error_ratio.map(millionths),
            max_latency_ratio: settings.max_latency_ratio.map(millionths),
            min_requests: settings.min_requests,
        },
    }
}

/// A canary leaves somebody on the old release; a single worker is left beside the extra one.
fn check_canary(settings: &config::Settings, canary: Option<u32>) -> anyhow::Result<()> {
    let workers = super::wanted(settings);
    match canary {
        Some(canary) if canary >= workers.max(1 + settings.rollout.surge.min(1)) => {
            bail!("{canary} of {workers} workers are no canary: fewer have to take the new release first")
        }
        _ => Ok(()),
    }
}
