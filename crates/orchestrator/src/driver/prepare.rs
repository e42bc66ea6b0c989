//! The beginning of a rollout, and the releases it moves between.

use anyhow::Context as _;
use rollout::plan::plan;
use rollout::{ActiveState, Instance, Outcome, Policy, Rollout};

use super::Driver;
use crate::cluster::monotonic_usec;
use crate::releases::ReleaseId;
use crate::running::{Prepared, Running};

impl Driver {
    pub(super) async fn begin_rollout(&mut self, id: u64) -> Result<(), api::Error> {
        let settings = super::load_settings()?;
        let prepared =
            self.prepare(&settings).await.map_err(|error| api::Error::Refused(format!("{error:#}")))?;
        self.go_by(settings);
        self.know_wanted().await;
        let order = plan(&self.cluster.rollable());
        let invocation = |i: &Instance| self.cluster.workers.get(i).and_then(|worker| worker.info.invocation);
        let steps: Vec<_> = order.iter().map(|i| (*i, invocation(i))).collect();
        let policy = Policy { settle: self.settings.rollout.settle, can_restore: prepared.from.is_some() };
        let (machine, actions) = Rollout::begin(&steps, policy);
        let running = Running::new(id, machine, prepared);
        tracing::info!(
            rollout = id,
            step = "begin",
            "rollout {id}: {} of {} workers",
            running.goal(),
            steps.len()
        );
        self.rolling = Some(running);
        self.perform(actions).await;
        Ok(())
    }

    /// Everything that can be refused is refused here, before the first worker is touched; the last thing done
    /// is to make the new release current.
    async fn prepare(&mut self, settings: &config::Settings) -> anyhow::Result<Prepared> {
        let (_, manager) = self.bus.as_ref().context("the system bus is gone; try again")?;
        let socket = &self.cluster.names.socket;
        let state = manager.socket().await?;
        if state != ActiveState::Active {
            anyhow::bail!(
                "{socket} is {state}: a worker started now would get no listener; \
                 `systemctl stop {service} && systemctl reset-failed {socket} && systemctl start {service}` mends it",
                service = self.cluster.names.service,
            );
        }
        let mut step_timeout = settings.rollout.settle;
        if let Some(&first) = self.cluster.workers.keys().next() {
            step_timeout = step_timeout.saturating_add(manager.restart_timeout(first).await?);
            if manager.needs_daemon_reload(first).await? {
                tracing::warn!(
                    "the unit files of {first} changed on disk: workers are started as before; \
                     `systemctl daemon-reload` and a reload bring the change"
                );
            }
        }
        let current = self.releases.current();
        let staged = self.releases.stage_packaged()?;
        let (from, to) = match staged {
            Some(new) => {
                self.switch_release(current.as_ref(), &new)?;
                (current, Some(new))
            }
            None => (None, current),
        };
        Ok(Prepared { from, to, step_timeout })
    }

    /// Makes `to` current, or changes nothing.
    pub(super) fn switch_release(&mut self, from: Option<&ReleaseId>, to: &ReleaseId) -> anyhow::Result<()> {
        let ledger = &mut self.cluster.ledger;
        let runtime_dir = &self.cluster.names.runtime_dir;
        let recorded = ledger.record_release(monotonic_usec(), to.clone());
        let flipped = recorded
            .with_context(|| format!("failed to write to {}", runtime_dir.display()))
            .and_then(|()| self.releases.make_current(to));
        if let (Err(_), Some(from)) = (&flipped, from) {
            let taken_back = ledger.record_release(monotonic_usec(), from.clone());
            self.warn_of_ledger(taken_back);
        }
        self.cluster.release = self.releases.current();
        flipped
    }

    pub(super) fn restore_release(&mut self) {
        let Some(running) = &self.rolling else { return };
        let (Some(from), to) = (running.from.clone(), running.to.clone()) else {
            return;
        };
        let restored = self.switch_release(to.as_ref(), &from);
        if let Some(to) = &to
            && let Err(error) = self.releases.reject(to)
        {
            tracing::warn!("failed to mark release {to} as failed: {error}; the next boot may start it");
        }
        if let (Err(error), Some(running)) = (restored, &mut self.rolling) {
            tracing::error!(
                rollout = running.record.id,
                "{error:#}; workers that restart run the failed release"
            );
            running.stuck = Some(format!("{error:#}"));
        }
    }

    /// A release that rolled out is good; older ones than it and its predecessor are not needed.
    pub(super) fn keep_books(&self, running: &Running, outcome: &Outcome) {
        let (Outcome::Done, Some(to), Some(from)) = (outcome, &running.to, &running.from) else {
            return;
        };
        if let Err(error) = self.releases.accept(to).and_then(|()| self.releases.prune(2, &[to, from])) {
            tracing::warn!("failed to tidy up old releases: {error}; they stay on disk");
        }
    }

    pub(super) async fn begin_queued(&mut self) {
        let Some(id) = self.queued.take() else { return };
        if let Err(error) = Box::pin(self.begin_rollout(id)).await {
            tracing::error!(rollout = id, "no rollout begins: {}", error.message());
            let refused = api::Rollout {
                id,
                state: api::RolloutState::Refused,
                from: String::new(),
                to: String::new(),
                steps: Vec::new(),
                message: error.message(),
                failure: Vec::new(),
                step_timeout_usec: 0,
            };
            self.last_rollout = Some(refused.clone());
            self.announce(refused).await;
        }
    }
}
