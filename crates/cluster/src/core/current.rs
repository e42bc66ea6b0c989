//! Which release is current at the start, and which one each instance executes.

use names::Instance;

use super::{Cluster, Purpose};
use crate::history::{Entry, State};
use crate::input::Survey;
use crate::release::ReleaseId;

impl Cluster {
    /// Chooses the current release. Without a rollout, the release of the package becomes current only if no
    /// worker runs. It never does if a rollout gave it up, a rollback left it, or a rollout to it was cut
    /// off.
    pub(super) fn choose_release(&mut self, is_cold: bool, survey: &Survey) {
        let before = self.release_before(survey);
        let packaged = match &survey.packaged {
            Some(Err(error)) => {
                self.error(format!("{error}; going on with the release that is current"));
                None
            }
            Some(Ok(id)) if self.history.lineage().was_left(id) => {
                self.info(format!(
                    "the package's release {id} was left by a rollback and stays so; `app-cluster rollback {id}` goes to it"
                ));
                None
            }
            Some(Ok(id)) => Some(id.clone()).filter(|_| is_cold || before.is_none()),
            None => None,
        };
        let is_cut_off = |entry: &&Entry| !entry.state.has_ended() || entry.state == State::Interrupted;
        let cut_off = self.history.entries().last().filter(is_cut_off);
        let cut_off = cut_off.and_then(|entry| entry.to.clone());
        let is_rejected =
            |id: &ReleaseId| survey.releases.iter().any(|found| found.id == *id && found.is_rejected);
        let is_good = |id: &ReleaseId| !is_rejected(id) && cut_off.as_ref() != Some(id);
        let packaged = packaged.filter(|id| before.is_none() || is_good(id));
        let Some(release) = packaged.or(before) else { return };
        if survey.current.as_ref() == Some(&release) {
            self.release = Some(release);
        } else {
            self.make_current(release);
        }
    }

    /// The release that is current as far as is known. While a rollout is unfinished, it is the release
    /// before that rollout. If the link is lost, it is the release of the last complete rollout.
    fn release_before(&self, survey: &Survey) -> Option<ReleaseId> {
        let is_there =
            |id: &&ReleaseId| survey.releases.iter().any(|found| found.id == **id && found.runnable.is_ok());
        let last = self.history.entries().last();
        let unfinished = last.filter(|entry| !entry.state.has_ended());
        let from = unfinished.and_then(|entry| entry.from.as_ref()).filter(is_there);
        let mut done = self.history.entries().iter().rev().filter(|entry| entry.state == State::Done);
        let lost = || {
            let by_history = done.find_map(|entry| entry.to.as_ref()).filter(is_there);
            by_history.or_else(|| self.links.values().find(is_there))
        };
        // If the link could not be written at the end of the last rollout, it still names the release before.
        let done = last.filter(|entry| entry.state == State::Done && entry.from == survey.current);
        let brought = done.filter(|entry| entry.from.is_some()).and_then(|entry| entry.to.as_ref());
        from.or(brought.filter(is_there)).or(survey.current.as_ref()).or_else(lost).cloned()
    }

    /// Forgets the links of extra workers that are down. Such a link names a release that the predecessor
    /// tried on the worker. If the worker is wanted now, it starts on the current release.
    pub(super) fn forget_tried(&mut self) {
        let Some(wanted) = self.ledger.wanted else { return };
        let workers = &self.workers;
        let is_down = |instance: &Instance| {
            workers.get(instance).is_none_or(|worker| worker.info.is_down() && worker.info.job.is_none())
        };
        self.links.retain(|instance, _| instance.number() <= wanted || !is_down(instance));
        self.ledger.pointed.retain(|instance, _| instance.number() <= wanted || !is_down(instance));
    }

    /// Brings the ledger and the links into line: a process that starts now executes the release of its link.
    /// Without a link, a worker could not start again after a crash.
    pub(super) fn reconcile_links(&mut self, is_cold: bool) {
        self.forget_links();
        let now = self.now.moment;
        for (instance, release) in &self.links {
            let unfinished = self.unfinished.as_ref().filter(|entry| entry.to.as_ref() == Some(release));
            let earliest = unfinished.map_or(0, |entry| entry.begun_monotonic_usec);
            // If the ledger is lost, the time at which the link was set is unknown. A process that started
            // since the rollout began may execute either release.
            if let Some(from) = unfinished.and_then(|entry| entry.from.as_ref())
                && self.ledger.points_to(*instance).is_none()
            {
                self.ledger.is_found_linked(*instance, now, 0, from);
            }
            self.ledger.is_found_linked(*instance, now, earliest, release);
        }
        let Some(release) = self.release.clone().filter(|_| !is_cold) else { return };
        let without: Vec<_> =
            self.workers.keys().filter(|instance| !self.links.contains_key(instance)).copied().collect();
        for instance in without {
            // A predecessor may have died before it set the link of an extra worker. A process that another
            // client starts there must not execute what the rollout has yet to prove.
            let is_wanted = instance.number() <= self.settings.workers;
            let known = self.ledger.points_to(instance).filter(|_| is_wanted).unwrap_or(&release).clone();
            self.point(instance, &known, Purpose::Point(instance, known.clone()));
        }
    }
}
