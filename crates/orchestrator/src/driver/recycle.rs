//! Workers that ask to be replaced are, in a rollout that is about them only. They ask with
//! `STATUS=recycle: <reason>` (sd_notify(3)), which is a level: it is there until another process is, and an
//! orchestrator that begins in the middle of it finds it.

use std::time::Instant;

use super::{Driver, Phase, Timer};
use crate::orders::{Order, Wish};

/// What became of the last tries.
#[derive(Debug, Default)]
pub(super) struct Recycling {
    /// Tries that failed, one after the other.
    failures: u32,
    /// There is none before this.
    not_before: Option<Instant>,
}

impl Driver {
    /// Begins to replace the workers that ask for it, if that may be now.
    pub(super) async fn maybe_recycle(&mut self) {
        if !self.cluster.workers.values().any(|worker| worker.info.asks.is_some()) {
            return;
        }
        let is_busy = self.rolling.is_some() || self.unfinished.is_some() || !self.queue.is_empty();
        let is_early = self.recycling.not_before.is_some_and(|time| Instant::now() < time);
        if self.phase != Phase::Running || is_busy || is_early {
            return;
        }
        let reason =
            |instance| self.cluster.workers.get(&instance).and_then(|worker| worker.info.asks.clone());
        let due = rollout::recycle::due(self.cluster.desired, &self.cluster.candidates(), |instance| {
            reason(instance).is_some()
        });
        if due.is_empty() {
            return;
        }
        let by: Vec<_> = due.iter().map(|&i| format!("{i} ({})", reason(i).unwrap_or_default())).collect();
        let order = Order { wish: Wish::Recycle(due), canary: None, by: by.join(", ") };
        let id = self.new_id();
        if let Err(error) = self.begin_rollout(id, order).await {
            let pause = self.postpone();
            tracing::warn!(
                "{} asked to be replaced, which is refused: {}; it goes on serving, next try in {pause:?}",
                by.join(", "),
                error.message()
            );
        }
    }

    /// A rollout has ended. One that came through tells that another may, whoever has asked for it.
    pub(super) fn learn_for_recycling(&mut self, record: &api::Rollout) {
        match (record.state, record.kind) {
            (api::RolloutState::Done, _) => self.recycling = Recycling::default(),
            (_, api::Kind::Recycle) => {
                let pause = self.postpone();
                tracing::warn!(
                    rollout = record.id,
                    "workers that still ask to be replaced go on serving, next try in {pause:?}"
                );
            }
            _ => {}
        }
    }

    /// The next try has to wait; returns how long.
    fn postpone(&mut self) -> std::time::Duration {
        self.recycling.failures = self.recycling.failures.saturating_add(1);
        let pause = rollout::recycle::pause(self.recycling.failures);
        self.recycling.not_before = Some(Instant::now() + pause);
        self.after(pause, Timer::Recycle);
        pause
    }
}
