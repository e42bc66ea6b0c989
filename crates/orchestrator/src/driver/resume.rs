//! Going on with what a predecessor had begun when it died.
//!
//! The history tells what it was doing. Which workers it had replaced is no secret either: their processes began
//! after the rollout did.

use rollout::{Cause, Event, Instance, Rollout};

use super::Driver;
use crate::history::{Entry, State};
use crate::running::{Prepared, Running};

impl Driver {
    /// Before any worker is started: whether a rollout has to be gone on with. One that was cut off by the end of
    /// the whole cluster is not: what had proved itself before is started then.
    pub(super) fn find_unfinished(&mut self, is_cold: bool) {
        let Some(entry) = self.history.unfinished().cloned() else { return };
        if !is_cold && self.cluster.names.boot().is_ok_and(|boot| boot == entry.boot_id) {
            tracing::warn!(
                rollout = entry.id,
                "rollout {} was under way when the orchestrator before this one ended: going on with it",
                entry.id
            );
            self.unfinished = Some(entry);
            return;
        }
        tracing::warn!(
            rollout = entry.id,
            "rollout {} was cut off when the cluster stopped; it does not go on",
            entry.id
        );
        if let Some(from) = &entry.from
            && let Err(error) =
                self.releases.check_runnable(from).and_then(|()| self.releases.make_current(from))
        {
            tracing::error!("{error:#}; going on with the release that is current");
        }
        let ended = Some(crate::running::epoch_usec(std::time::SystemTime::now()));
        let noted = self.history.update(entry.id, State::Interrupted, None, ended);
        self.warn_of_history(noted);
    }

    /// Goes on, once whoever has to run does.
    pub(super) async fn go_on(&mut self) {
        let Some(entry) = self.unfinished.take() else { return };
        let step_timeout = match self.step_timeout(&self.settings.clone()).await {
            Ok(step_timeout) => step_timeout,
            Err(error) => {
                tracing::error!(rollout = entry.id, "{error:#}; `systemctl reload app-cluster` finishes it");
                return;
            }
        };
        let prepared = Prepared {
            kind: entry.kind,
            by: entry.by.clone(),
            from: entry.from.clone(),
            to: entry.to.clone(),
            canary: entry.canary,
            only: None,
            step_timeout,
        };
        if entry.state == State::Restoring {
            self.go_on_restoring(&entry, prepared).await;
        } else {
            self.go_on_rolling(&entry, prepared).await;
        }
    }

    async fn go_on_rolling(&mut self, entry: &Entry, prepared: Prepared) {
        if let (Some(from), Some(to)) = (&entry.from, &entry.to)
            && self.releases.current().as_ref() != Some(to)
            && let Err(error) = self.switch_release(Some(from), to)
        {
            tracing::error!(rollout = entry.id, "{error:#}; `systemctl reload app-cluster` finishes it");
            return;
        }
        self.start_machine(entry.id, prepared, entry.begun_monotonic_usec).await;
        if entry.state == State::Paused {
            self.roll_on(Event::Pause).await;
        }
    }

    async fn go_on_restoring(&mut self, entry: &Entry, prepared: Prepared) {
        if let Some(from) = &entry.from
            && self.releases.current().as_ref() != Some(from)
            && let Err(error) = self.switch_release(entry.to.as_ref(), from)
        {
            tracing::error!(rollout = entry.id, "{error:#}; `systemctl reload app-cluster` tries again");
            return;
        }
        self.inspect_all().await;
        let is_new = |instance: &Instance| {
            let worker = self.cluster.workers.get(instance);
            let release = worker.and_then(|worker| self.cluster.release_of(worker));
            release.is_some() && release != entry.from.as_ref()
        };
        let replaced: Vec<_> =
            self.started_since(entry.begun_monotonic_usec).into_iter().filter(is_new).collect();
        let planned = self.plan(&None, |instance| replaced.contains(&instance)).await;
        let policy = self.policy(&prepared);
        let (machine, actions) = Rollout::go_back(&planned, policy, Cause::Interrupted);
        let deadline = self.rollout_deadline(prepared.step_timeout, planned.len());
        let mut running = Running::new(entry.id, machine, prepared, deadline);
        running.known_failure = entry.failure.clone();
        self.run_machine(running, actions).await;
    }

    pub(super) fn started_since(&self, usec: u64) -> Vec<Instance> {
        let is_since =
            |worker: &crate::cluster::Worker| worker.info.main_pid != 0 && worker.info.started_usec >= usec;
        self.cluster.workers.iter().filter(|(_, worker)| is_since(worker)).map(|(i, _)| *i).collect()
    }
}
