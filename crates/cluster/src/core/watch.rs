//! The watch after a rollout to another release. If most workers do not stay up for a while, or none accepts
//! connections, the orchestrator undoes the rollout.
//!
//! The watch belongs to the release. It is on disk, so the next orchestrator continues it, and a reload does
//! not change it. An operator who goes back knows why, so a rollback is not watched.

use std::time::Duration;

use names::Instance;

use super::preparing::Purpose as For;
use super::{Cluster, Purpose};
use crate::effect::Disk;
use crate::history::Kind;
use crate::ledger::Watched;
use crate::moment::{Moment, usec};
use crate::order::{Order, Target};
use crate::release::ReleaseId;

/// Why a release is undone.
pub(super) enum Reason {
    /// This many workers flap or have failed.
    Flaps(usize),
    /// This many connections wait, and no worker accepts one.
    AcceptsNothing(usize),
}

/// The pause after which a refused undo is tried again.
const AGAIN: Duration = Duration::from_secs(5);

impl Cluster {
    /// A rollout from one release to another is complete.
    pub(super) fn begin_watch(&mut self, kind: Kind, from: &ReleaseId, to: &ReleaseId) {
        let is_watched = !self.settings.watch.is_zero() && !matches!(kind, Kind::Rollback | Kind::Undo);
        let until_usec = usec(self.in_time(self.settings.watch));
        let watched = Watched { until_usec, from: from.clone(), to: to.clone() };
        self.ledger.watched = Some(watched).filter(|_| is_watched);
        self.undo_at = None;
        self.is_ledger_saved = false;
    }

    /// Undoes the rollout if most workers do not stay up during the watch, or no worker accepts. The release
    /// is then taken to be the cause.
    pub(super) fn maybe_undo(&mut self) {
        let Some(watched) = self.ledger.watched.clone().filter(|_| self.is_running()) else { return };
        let now = usec(self.now.moment);
        if now > watched.until_usec || self.release.as_ref() != Some(&watched.to) {
            if !self.is_busy() {
                self.stop_watching();
            }
            return;
        }
        let is_early = self.undo_at.is_some_and(|at| at > self.now.moment);
        if self.is_busy() || self.unfinished.is_some() || !self.is_connected || is_early {
            return;
        }
        let Some(reason) = self.reason_to_undo() else { return };
        let again = self.in_time(AGAIN);
        let Watched { from, to, .. } = watched;
        if self.undo_at.replace(again).is_none() {
            self.log_undo(&reason, &from, &to);
            self.undo_why = Some(format!("release {to} was undone: {}", reason.words(self.settings.workers)));
            self.disk(Disk::Reject(to), Purpose::Warn("the next boot may start the release that failed"));
        }
        let order = Order { target: Target::Undo(from), canary: None, by: "app-cluster".to_owned() };
        let id = self.new_id();
        self.prepare(id, For::Order(order, None));
    }

    fn reason_to_undo(&self) -> Option<Reason> {
        let down = self.count_down();
        let flaps = down * 2 > self.settings.workers as usize;
        let vain = || self.waiting_in_vain().map(Reason::AcceptsNothing);
        if flaps { Some(Reason::Flaps(down)) } else { vain() }
    }

    /// How many of the wanted workers flap or have failed.
    fn count_down(&self) -> usize {
        let (now, policy) = (self.now.moment, self.settings.backoff);
        let is_down = |instance: &Instance| {
            self.workers.get(instance).is_some_and(|worker| {
                worker.pause.is_some()
                    || worker.backoff.is_flapping(now, &policy)
                    || (worker.has_failed() && worker.retry.is_some())
            })
        };
        Instance::first(self.settings.workers).filter(|i| !self.ledger.is_held(*i)).filter(is_down).count()
    }

    /// An operator does not want the release to be undone.
    pub(super) fn stop_watching(&mut self) {
        self.ledger.watched = None;
        self.is_ledger_saved = false;
    }

    pub(super) fn undo_refused(&mut self, why: &str) {
        if self.ledger.watched.is_none() {
            return;
        }
        if self.refused.as_deref() != Some(why) {
            self.error(format!("failed to go back: {why}; trying again, as does `app-cluster rollback`"));
        }
        self.refused = Some(why.to_owned());
    }

    pub(super) fn watch_wake(&self) -> Option<Moment> {
        self.ledger.watched.as_ref()?;
        self.undo_at.filter(|at| *at > self.now.moment)
    }
}

impl Reason {
    /// The reason as a phrase that follows a colon.
    pub(super) fn words(&self, workers: u32) -> String {
        match self {
            Self::Flaps(down) => format!("{down} of {workers} workers flapped"),
            Self::AcceptsNothing(waiting) => format!(
                "nobody accepts connections, although all workers are ready; {waiting} {}; a worker has to \
                 accept on the socket that systemd passes to it, see app-cluster-worker(7)",
                if *waiting == 1 { "waits" } else { "wait" }
            ),
        }
    }
}
