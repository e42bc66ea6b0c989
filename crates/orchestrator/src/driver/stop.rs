//! The orchestrator's own end.

use std::time::Duration;

use rollout::ActiveState;
use sd_notify::NotifyState;

use super::{Driver, Phase};

/// What stopping takes beyond the workers' own time.
const MARGIN: Duration = Duration::from_secs(10);

impl Driver {
    /// SIGTERM. `systemctl restart` renews only the orchestrator; `systemctl stop` means the workers too. The job
    /// that systemd has for our unit tells which it is. Without a job somebody used kill(1): nothing is stopped.
    pub(super) async fn stop_requested(&mut self) {
        let Some((_, manager)) = &self.bus else {
            tracing::warn!("asked to end without the bus; the workers go on serving");
            self.phase = Phase::Ended;
            return;
        };
        let job = manager.own_job().await.unwrap_or_else(|error| {
            tracing::warn!("{error:#}; the workers go on serving");
            None
        });
        // Who comes after us goes on with it, or not, as the history and the state of the workers tell.
        self.rolling = None;
        self.unfinished = None;
        self.queue.clear();
        match job.as_deref() {
            Some("stop") => self.stop_all().await,
            _ => {
                tracing::info!("ending; the workers go on serving");
                self.phase = Phase::Ended;
            }
        }
    }

    async fn stop_all(&mut self) {
        self.phase = Phase::Stopping;
        self.jobs.give_up();
        let running = |worker: &crate::cluster::Worker| {
            !matches!(worker.info.active, ActiveState::Inactive | ActiveState::Failed)
        };
        let running: Vec<_> =
            self.cluster.workers.iter().filter(|(_, worker)| running(worker)).map(|(i, _)| *i).collect();
        tracing::info!("stopping {} workers", running.len());
        self.extend_timeout(running.first().copied()).await;
        for instance in running {
            self.stop_worker(instance).await;
        }
        self.maybe_stopped();
    }

    /// Asks systemd to wait for us as long as it waits for a worker.
    async fn extend_timeout(&self, any: Option<rollout::Instance>) {
        let Some(((_, manager), instance)) = self.bus.as_ref().zip(any) else {
            return;
        };
        if let Ok(timeout) = manager.restart_timeout(instance).await {
            let usec = u32::try_from((timeout.saturating_add(MARGIN)).as_micros()).unwrap_or(u32::MAX);
            super::notify(&[NotifyState::ExtendTimeoutUsec(usec)]);
        }
    }

    /// Ends once the last worker has stopped. Next time all of them are started again.
    pub(super) fn maybe_stopped(&mut self) {
        if self.phase == Phase::Stopping && self.jobs.is_empty() {
            let rest = self.missing_words().unwrap_or_else(|| {
                "the socket keeps listening, a connection starts the cluster again".to_owned()
            });
            tracing::info!("all workers are stopped; {rest}");
            self.phase = Phase::Ended;
        }
    }
}
