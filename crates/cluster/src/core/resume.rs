//! How the orchestrator continues the rollout that a predecessor had begun when it ended.
//!
//! The history says what the rollout was doing. The workers that it had replaced are known too: their
//! processes are younger than the rollout.

use std::time::Duration;

use names::Instance;

use super::Cluster;
use super::active::{ActiveRollout, Plan};
use super::preparing::Purpose as For;
use crate::event::Cause;
use crate::history::{Entry, State};
use crate::machine::Rollout;
use crate::moment::Moment;
use crate::settings::Settings;

/// The pause after which a rollout that could not continue is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a rollout is interrupted, for the history.
const CUT_OFF: &str = "the cluster was stopped before the rollout ended";

impl Cluster {
    /// Finds a rollout to continue, before any worker is started. If the whole cluster was stopped, the
    /// rollout does not continue: the workers then start on the release that worked before. A rollout that
    /// failed and halted does not continue either.
    pub(super) fn find_unfinished(&mut self, is_cold: bool, boot_id: &Result<String, String>) {
        let Some(entry) = self.history.unfinished().cloned() else { return };
        let id = entry.id;
        let failure = entry.failure.clone().filter(|_| entry.state != State::Restoring);
        let goes_on = !is_cold && failure.is_none();
        if goes_on && boot_id.as_ref().is_ok_and(|boot| *boot == entry.boot_id) {
            self.warn_in(
                id,
                format!("rollout {id} was in progress when the previous orchestrator ended; continuing it"),
            );
            self.unfinished = Some(entry);
            return;
        }
        let (state, why) = match failure {
            Some(_) if entry.is_aborted() => (State::Aborted, "was ended on request".to_owned()),
            Some(failure) => (State::Failed, format!("had failed before the orchestrator ended: {failure}")),
            None => (State::Interrupted, "was cut off when the cluster stopped".to_owned()),
        };
        self.warn_in(id, format!("rollout {id} {why}; it does not go on"));
        let now = self.now.epoch_usec();
        self.history.amend(id, |entry| {
            entry.state = state;
            if state == State::Interrupted {
                entry.failure = Some(CUT_OFF.to_owned());
            }
            entry.ended_usec = Some(now);
        });
        self.save_history();
        self.halted = Some(entry).filter(|entry| !is_cold && entry.failure.is_some());
    }

    /// Links the workers back that a halted rollout of a predecessor had linked but not restarted. They must
    /// restart on the release that they run.
    pub(super) fn unlink_halted(&mut self) {
        let Some(Entry { from: Some(from), to: Some(to), .. }) = self.halted.take() else { return };
        let is_left = |instance: &Instance| {
            self.runs(*instance, &from) && self.ledger.points_to(*instance) == Some(&to)
        };
        let left: Vec<_> = self.workers.keys().filter(|instance| is_left(instance)).copied().collect();
        for instance in left {
            self.point(instance, &from, super::Purpose::Point(instance, from.clone()));
        }
    }

    /// Continues the rollout, once all wanted workers run.
    pub(super) fn resume(&mut self) {
        if let Some(entry) = self.unfinished.take() {
            self.prepare(entry.id, For::Resume(Box::new(entry)));
        }
    }

    /// The rollout of a predecessor cannot continue now. The orchestrator tries again, because no caller
    /// waits who could ask again. Until it continues, or another rollout begins, nothing changes.
    pub(super) fn not_resumed(&mut self, entry: Entry, why: &str) {
        if self.refused.as_deref() != Some(why) {
            self.error_in(entry.id, format!("{why}; trying again, as does `systemctl reload app-cluster`"));
        }
        self.refused = Some(why.to_owned());
        self.unfinished = Some(entry);
        self.resume_at = Some(self.in_time(AGAIN));
    }

    /// Continues the rollout if that was refused before, and no other one is under way.
    pub(super) fn maybe_resume(&mut self) {
        let is_due = self.resume_at.is_some_and(|at| at <= self.now.moment);
        // If no worker runs that could try the release, the rollout would be refused again.
        if is_due
            && !self.are_all_held(&self.settings)
            && self.is_running()
            && !self.is_busy()
            && self.is_connected
        {
            self.resume_at = None;
            self.resume();
        }
    }

    pub(super) fn resume_wake(&self) -> Option<Moment> {
        self.unfinished.as_ref()?;
        self.resume_at.filter(|at| *at > self.now.moment)
    }

    pub(super) fn plan_again(&self, entry: &Entry, settings: &Settings) -> Plan {
        Plan {
            kind: entry.kind,
            by: entry.by.clone(),
            from: entry.from.clone(),
            to: entry.to.clone(),
            canary: entry.canary,
            only: None,
            left_out: None,
            step_timeout: self.step_timeout(settings),
        }
    }

    /// The preparation is complete.
    pub(super) fn resume_machine(&mut self, plan: Plan, entry: &Entry) {
        if entry.state == State::Restoring {
            return self.resume_way_back(plan, entry);
        }
        self.start_machine(entry.id, plan, entry.begun_monotonic_usec, entry.state == State::Paused);
    }

    fn resume_way_back(&mut self, plan: Plan, entry: &Entry) {
        let is_new = |instance: &Instance| {
            let release = self.release_of(*instance);
            release.is_some() && release != entry.from.as_ref()
        };
        let replaced: Vec<_> =
            self.started_since(entry.begun_monotonic_usec).into_iter().filter(is_new).collect();
        let planned = self.planned(&plan, |instance| replaced.contains(&instance));
        let cause = if entry.is_aborted() { Cause::Aborted } else { Cause::Interrupted };
        let (machine, actions) = Rollout::go_back(&planned, self.policy(&plan), cause);
        let deadline = self.rollout_deadline(plan.step_timeout, planned.len());
        let mut rollout = ActiveRollout::new(entry.id, machine, plan, deadline, self.now);
        rollout.known_failure = entry.failure.clone();
        self.run_machine(rollout, actions);
    }
}
