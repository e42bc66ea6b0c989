//! What others see of the cluster.

use super::{Driver, Phase};
use crate::snapshot::{Reader, Snapshot};

impl Driver {
    /// From now on calls that read are answered from the present state.
    pub(super) fn update_snapshot(&self) {
        let workers = self.cluster.workers.iter();
        let processes = workers.map(|(instance, worker)| (*instance, worker.info.main_pid));
        let running = self.cluster.workers.values().filter_map(|worker| self.cluster.release_of(worker));
        self.snapshots.send_replace(Snapshot {
            status: self.status(),
            processes: processes.filter(|(_, pid)| *pid != 0).collect(),
            running: running.cloned().collect(),
            current: self.cluster.release.clone(),
            history: self.history.shared(),
        });
    }

    /// What is said of addresses on which systemd does not listen.
    pub(super) fn missing_words(&self) -> Option<String> {
        let (socket, missing) = (&self.cluster.names.socket, self.unlistened.join(" and "));
        let words = || {
            format!(
                "{socket} names {missing}, where systemd does not listen: `app-cluster rebind` applies the change"
            )
        };
        (!missing.is_empty()).then(words)
    }

    /// Answers the calls that read.
    pub(super) fn reader(&self) -> Reader {
        Reader::new(self.snapshots.subscribe(), self.releases.clone(), self.cluster.names.scoreboard.clone())
    }

    fn status(&self) -> api::Status {
        let rollout = self.rolling.as_ref().map(|running| &running.record).or(self.last_rollout.as_ref());
        api::Status {
            cluster: self.cluster.names.cluster.clone(),
            version: self.version.clone(),
            summary: self.summary(),
            release: self.cluster.release.as_ref().map(ToString::to_string).unwrap_or_default(),
            desired: self.cluster.desired,
            ready: self.cluster.ready(),
            workers: self.cluster.worker_status(),
            rollout: rollout.cloned().into_iter().collect(),
        }
    }

    /// The one sentence that `systemctl status`, the log and `app-cluster status` show.
    pub(super) fn summary(&self) -> String {
        let mut state = self.cluster.summary();
        if let Some(missing) = self.missing_words()
            && !self.refused.as_ref().is_some_and(|refused| refused.contains(&missing))
        {
            state += &format!("; {missing}");
        }
        match (&self.phase, &self.rolling, &self.last_rollout) {
            (Phase::Stopping | Phase::Ended, ..) => format!("stopping the workers: {state}"),
            (Phase::Starting, ..) => format!("starting: {state}"),
            (Phase::Running, Some(running), _) => running.record.message.clone(),
            (Phase::Running, None, last) => match (&self.refused, last) {
                (Some(refused), _) => format!("{state}; the last rollout was refused: {refused}"),
                (None, Some(last)) if has_failed(last) => {
                    format!("{state}; the last rollout failed: {}", last.message)
                }
                _ => state,
            },
        }
    }
}

fn has_failed(rollout: &api::Rollout) -> bool {
    matches!(rollout.state, api::RolloutState::Restored | api::RolloutState::Failed)
}
