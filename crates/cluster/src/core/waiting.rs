//! A rollout that has not begun, as clients and operators see it.

use std::time::Duration;

use super::preparing::{Preparing, Purpose as For, Step};
use super::{Activity, Cluster};
use crate::effect::Effect;
use crate::history::{Entry, Kind};
use crate::input::Refusal;
use crate::moment::Moment;
use crate::order::{Order, Target};
use crate::view;

/// How long a rollout may be prepared before clients and the log are told what it waits for.
pub(super) const UNNOTICED: Duration = Duration::from_secs(1);

impl Cluster {
    /// Tells clients and the log what a rollout waits for that does not begin. Before, no one sees it: most
    /// rollouts begin within milliseconds.
    pub(super) fn tell_what_waits(&mut self) {
        let now = self.now.moment;
        let Activity::Preparing(preparing) = &mut self.activity else { return };
        if preparing.told_at.is_none_or(|at| at > now) {
            return;
        }
        preparing.told_at = None;
        let (id, awaited) = (preparing.id, preparing.awaited());
        self.warn_in(id, format!("rollout {id} has not begun: {awaited}; `app-cluster abort` withdraws it"));
        if let Some(waiting) = self.waiting() {
            self.effects.push_back(Effect::Announce(Box::new(waiting)));
        }
    }

    /// When [`Self::tell_what_waits`] has something to tell.
    pub(super) fn wait_wake(&self) -> Option<Moment> {
        match &self.activity {
            Activity::Preparing(preparing) => preparing.told_at,
            Activity::Rolling(_) | Activity::None => None,
        }
    }

    /// The rollout that has not begun, if clients see it.
    pub(super) fn waiting(&self) -> Option<view::Rollout> {
        if let Activity::Preparing(preparing) = &self.activity {
            let message = || format!("has not begun: {}", preparing.awaited());
            return preparing.is_told().then(|| self.record_of(preparing, message()));
        }
        // While it waits, nothing of it is under way, so the reason for its refusal is the last one.
        let (entry, why) = (self.unfinished.as_ref()?, self.refused.as_ref()?);
        Some(view::Rollout {
            from: entry.from.clone(),
            to: entry.to.clone(),
            message: format!("has not continued: {why}"),
            ..bare(entry.id, entry.kind, &entry.by)
        })
    }

    fn record_of(&self, preparing: &Preparing, message: String) -> view::Rollout {
        let (from, bare) = match &preparing.purpose {
            For::Order(order, _) => {
                (self.release.clone(), bare(preparing.id, order.target.kind(), &order.by))
            }
            For::Resume(entry) => (entry.from.clone(), bare(entry.id, entry.kind, &entry.by)),
        };
        view::Rollout { from, to: preparing.release().cloned(), message, ..bare }
    }

    /// Announces that a rollout does not begin, if it was queued or has no caller.
    pub(super) fn announce_refused(&mut self, id: u64, order: &Order, message: &str) {
        let refused = view::Rollout {
            state: view::RolloutState::Refused,
            message: message.to_owned(),
            ..bare(id, order.target.kind(), &order.by)
        };
        if !self.is_busy() {
            self.last_rollout = Some(refused.clone());
        }
        self.effects.push_back(Effect::Announce(Box::new(refused)));
    }

    /// Withdraws the rollout that is being prepared. No worker was touched. While it is being written to disk,
    /// this refuses: the caller can abort the rollout as soon as it begins.
    pub(super) fn withdraw_prepared(&mut self, rollout: u64) -> Result<(), Refusal> {
        let Activity::Preparing(preparing) = &mut self.activity else { return Ok(()) };
        let id = preparing.id;
        if rollout != 0 && preparing.callers > 1 {
            // Other callers still wait for it.
            preparing.callers -= 1;
            return Ok(());
        }
        if let For::Resume(_) = preparing.purpose {
            self.abort_inherited(id);
            return Ok(());
        }
        if matches!(preparing.step, Step::Trying(..) | Step::Writing(..)) {
            return Err(Refusal::Refused("the rollout is just beginning; try again".to_owned()));
        }
        // Clients that follow it have to learn that it is over.
        preparing.told_at = None;
        if let For::Order(Order { target: Target::Undo(_), .. }, _) = preparing.purpose {
            self.stop_watching();
        }
        self.info_in(id, format!("rollout {id} is withdrawn before it began"));
        self.refuse(Refusal::Refused("withdrawn before it began".to_owned()));
        Ok(())
    }

    /// Aborts the rollout of a predecessor that has not continued yet. It then continues as the way back. If
    /// there is no release to go back to, it ends.
    pub(super) fn abort_inherited(&mut self, id: u64) {
        let now = self.now.epoch_usec();
        self.info_step(id, "abort", "asked to give the rollout up".to_owned());
        self.history.amend(id, |entry| entry.abort(now));
        self.save_history();
        let Some(entry) = self.history.find(id).cloned() else { return };
        if entry.state.has_ended() {
            return self.end_inherited(&entry);
        }
        match &mut self.activity {
            Activity::Preparing(preparing) if preparing.id == id => {
                preparing.purpose = For::Resume(Box::new(entry));
            }
            // Another rollout may be prepared in its place.
            _ => self.unfinished = Some(entry),
        }
    }

    fn end_inherited(&mut self, entry: &Entry) {
        if matches!(&self.activity, Activity::Preparing(preparing) if preparing.id == entry.id) {
            self.activity = Activity::None;
        }
        (self.unfinished, self.resume_at, self.refused) = (None, None, None);
        let ended = view::Rollout {
            state: view::RolloutState::Aborted,
            message: "stopped on request; reload again to finish".to_owned(),
            ..bare(entry.id, entry.kind, &entry.by)
        };
        self.last_rollout = Some(ended.clone());
        self.effects.push_back(Effect::Announce(Box::new(ended)));
        self.apply_deferred();
        self.begin_queued();
    }
}

/// A rollout that waits to begin, of which nothing more is known.
fn bare(id: u64, kind: Kind, by: &str) -> view::Rollout {
    view::Rollout {
        id,
        kind,
        by: by.to_owned(),
        state: view::RolloutState::Queued,
        from: None,
        to: None,
        steps: Vec::new(),
        message: String::new(),
        failure: None,
        step_timeout_usec: 0,
        deadline_usec: 0,
    }
}
