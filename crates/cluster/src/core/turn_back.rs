//! How a rollout goes back: first the links, then an inspection of every worker, then the machine continues.

use names::Instance;

use super::worker::Look;
use super::{Cluster, Purpose};
use crate::effect::{Disk, Token};
use crate::event::Cause;
use crate::history::State;
use crate::release::ReleaseId;
use crate::step::StepState;

impl Cluster {
    /// Begins the way back. First the history notes it. Then every instance that is linked to the new release
    /// gets a link to the old one. Then all workers are inspected. No worker is put back before that.
    pub(super) fn restore_release(&mut self) {
        self.log_turn();
        let Some(rollout) = self.rolling_mut() else { return };
        rollout.has_turned_back = true;
        let id = rollout.record.id;
        let (from, to) = (rollout.plan.from.clone(), rollout.plan.to.clone());
        let failure = rollout.machine.cause().map(ToString::to_string);
        let is_aborted = matches!(rollout.machine.cause(), Some(Cause::Aborted));
        self.note_in_history(|entry| {
            entry.state = State::Restoring;
            entry.failure = failure.or(entry.failure.take());
        });
        if let (Some(from), Some(to)) = (from, to) {
            self.relink(id, &from, &to);
            if !is_aborted {
                self.disk(Disk::Reject(to), Purpose::Warn("the next boot may start the release that failed"));
            }
        }
        self.look_once_relinked();
    }

    fn relink(&mut self, id: u64, from: &ReleaseId, to: &ReleaseId) {
        let is_linked = |instance: &Instance| {
            // A link that is still being written may also point to the new release. This write then comes
            // last.
            self.ledger.points_to(*instance) == Some(to) || self.points.contains_key(instance)
        };
        // If it fails again before it is stopped, systemd restarts it. With the old release it would seem to be
        // ready after all. Its link is set back at the end.
        let is_leaving = |instance: &Instance| {
            let step = self.rolling().and_then(|rollout| rollout.machine.step(*instance));
            step.is_some_and(|step| step.is_surge() && step.state() == StepState::Stopping)
        };
        let instances = self.workers.keys().copied();
        let linked: Vec<_> = instances.filter(|i| is_linked(i) && !is_leaving(i)).collect();
        for instance in linked {
            self.point(instance, from, Purpose::Relink(id, instance, from.clone()));
            if let Some(rollout) = self.rolling_mut() {
                rollout.relinking += 1;
            }
        }
    }

    /// Links a worker that the rollout leaves out back to the old release.
    pub(super) fn link_back(&mut self, instance: Instance) {
        let Some(rollout) = self.rolling() else { return };
        let (from, to) = (rollout.plan.from.clone(), rollout.plan.to.clone());
        if let Some(from) = from.filter(|_| self.ledger.points_to(instance) == to.as_ref()) {
            self.point(instance, &from, Purpose::Point(instance, from.clone()));
        }
    }

    pub(super) fn relinked(
        &mut self,
        id: u64,
        instance: Instance,
        release: ReleaseId,
        token: Token,
        done: Result<(), String>,
    ) {
        self.is_linked(instance, release.clone(), token, done.is_ok());
        if done.is_err() {
            self.point_later(instance, release);
        }
        let Some(rollout) = self.rolling_mut().filter(|rollout| rollout.record.id == id) else { return };
        rollout.relinking = rollout.relinking.saturating_sub(1);
        if let Err(error) = done {
            rollout.stuck = Some(error.clone());
            self.error_of(instance, format!("{error}; {instance} runs the failed release if it restarts"));
        }
        self.look_once_relinked();
    }

    fn look_once_relinked(&mut self) {
        if let Some(rollout) = self.rolling().filter(|rollout| rollout.relinking == 0) {
            self.look_at_all(&Look::Relinked(rollout.record.id));
        }
    }
}
