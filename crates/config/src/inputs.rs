//! Inputs: the fragments laid over each other, a later one over an earlier one, key by key.

use std::time::Duration;

use crate::fragment::{Assigned, Fragment};
use crate::settings::{Origins, RolloutSettings, Settings, Workers};

#[derive(Debug, Default)]
pub(crate) struct Inputs {
    workers: Option<Assigned<Workers>>,
    settle: Option<Assigned<Duration>>,
}

impl Inputs {
    pub(crate) fn merge(&mut self, later: Fragment) {
        self.workers = later.workers.or(self.workers.take());
        self.settle = later.settle.or(self.settle.take());
    }

    pub(crate) fn into_settings(self) -> Settings {
        let (workers, workers_origin) = Assigned::split(self.workers);
        let (settle, settle_origin) = Assigned::split(self.settle);
        Settings {
            workers: workers.unwrap_or_default(),
            rollout: RolloutSettings { settle: settle.unwrap_or(RolloutSettings::default().settle) },
            origins: Origins { workers: workers_origin, settle: settle_origin },
        }
    }
}
