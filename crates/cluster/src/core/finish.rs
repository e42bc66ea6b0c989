//! The end of a rollout: the current release, the history, and what comes next.
//!
//! The order makes every report true. First the release that all workers run becomes current. Then the
//! history says how the rollout ended, and then callers learn it.

use names::Instance;

use super::active::{Ending, LastWords};
use super::worker::Worker;
use super::{Activity, Cluster, Phase, Purpose};
use crate::effect::{Disk, Effect};
use crate::event::Outcome;
use crate::history::{Kind, State};
use crate::input::{Found, Survey};
use crate::ledger::StoppedBy;
use crate::lineage::OnDisk;
use crate::release::ReleaseId;
use crate::step::{Step, StepState};
use crate::view;

impl Cluster {
    /// Begins the end once the machine has ended and everything for the report is known.
    pub(super) fn maybe_finish(&mut self) {
        let Some(rollout) = self.rolling_mut() else { return };
        let is_ready = rollout.outcome.is_some()
            && rollout.last_words != LastWords::Awaited
            && rollout.ending == Ending::NotYet;
        if !is_ready {
            return;
        }
        let id = rollout.record.id;
        rollout.ending = Ending::Committing;
        if rollout.outcome == Some(Outcome::Done) && rollout.plan.only.is_none() {
            let to = rollout.plan.to.clone();
            self.link_those(to, |_, _| true);
        }
        match self.release_to_commit() {
            Some(release) => {
                self.disk(Disk::MakeCurrent(release), Purpose::Finish(id));
            }
            None => self.note_end(id),
        }
    }

    /// The release that becomes current, if it is another one. Either every worker runs it, or the rollout
    /// ended halfway and stays there (`on_failure`, or an abort).
    fn release_to_commit(&self) -> Option<ReleaseId> {
        let rollout = self.rolling()?;
        let to = rollout.plan.to.as_ref().filter(|to| Some(*to) != self.release.as_ref())?;
        let is_taken = |step: &Step| !step.is_surge() && step.state() == StepState::Done;
        let is_new = match rollout.outcome.as_ref()? {
            Outcome::Done => true,
            Outcome::Failed(_) | Outcome::Stopped => {
                !rollout.has_turned_back && rollout.machine.steps().iter().any(is_taken)
            }
            Outcome::Restored(_) => false,
        };
        Some(to.clone()).filter(|_| is_new)
    }

    /// The disk has answered a step of the end.
    pub(super) fn finish_answered(&mut self, id: u64, done: Result<(), String>) {
        let Some(rollout) = self.rolling().filter(|rollout| rollout.record.id == id) else { return };
        match rollout.ending {
            Ending::NotYet => {}
            Ending::Committing => {
                if let Some(release) = self.release_to_commit() {
                    self.release = Some(release);
                    self.committed(done);
                }
                self.note_end(id);
            }
            Ending::Noting => {
                self.history_saved(done);
                self.finish();
            }
        }
    }

    fn note_end(&mut self, id: u64) {
        let (stragglers, missing) = (self.stragglers_at_end(), self.missing());
        let (now, names) = (self.now, self.names.clone());
        let is_undo = self.rolling().is_some_and(|rollout| rollout.plan.kind == Kind::Undo);
        let why = self.undo_why.take_if(|_| is_undo);
        let Some(rollout) = self.rolling_mut() else { return };
        let Some(mut outcome) = rollout.outcome.clone() else { return };
        if let Outcome::Failed(cause) = &outcome
            && rollout.has_turned_back
            && rollout.stuck.is_none()
            && stragglers.is_empty()
            && missing.is_empty()
        {
            // The missing workers have come back meanwhile.
            outcome = Outcome::Restored(cause.clone());
        }
        rollout.refresh(now);
        rollout.ending = Ending::Noting;
        rollout.conclude(&outcome, |instance| names.unit(instance), &stragglers, &missing);
        rollout.record.message += &why.map(|why| format!("; {why}")).unwrap_or_default();
        let state = match rollout.record.state {
            view::RolloutState::Done => State::Done,
            view::RolloutState::Aborted => State::Aborted,
            view::RolloutState::Restored => State::Restored,
            _ => State::Failed,
        };
        let failure = (state != State::Done).then(|| rollout.record.message.clone());
        let plan = &rollout.plan;
        let way = plan.from.clone().zip(plan.to.clone()).map(|(from, to)| (plan.kind, from, to));
        if !rollout.plan.is_recorded() {
            return self.finish();
        }
        self.history.amend(id, |entry| {
            entry.state = state;
            entry.failure = failure.or(entry.failure.take()).filter(|_| state != State::Done);
            entry.ended_usec = Some(now.epoch_usec());
        });
        // As soon as the next orchestrator can know of the end, it has to know of the watch.
        if let (State::Done, Some((kind, from, to))) = (state, way) {
            self.begin_watch(kind, &from, &to);
            self.save_ledger();
        }
        self.disk(Disk::History(self.history.shared()), Purpose::Finish(id));
    }

    /// Workers that run another release and stay. A worker beyond the wanted number will be stopped.
    fn stragglers_at_end(&self) -> Vec<Instance> {
        let is_wanted = |instance: &Instance| instance.number() <= self.settings.workers;
        self.stragglers().into_iter().filter(is_wanted).collect()
    }

    /// Does everything that follows the end of a rollout.
    fn finish(&mut self) {
        let activity = std::mem::replace(&mut self.activity, Activity::None);
        let Activity::Rolling(rollout) = activity else { return };
        let record = rollout.record.clone();
        self.learn_for_recycling(&record);
        self.log_end(&record);
        self.last_rollout = Some(record.clone());
        self.effects.push_back(Effect::Announce(Box::new(record)));
        let is_done = rollout.outcome == Some(Outcome::Done);
        if let (Some(from), false) = (&rollout.plan.from, is_done || rollout.has_turned_back) {
            // If the rollout halted, some workers are linked to the new release but run the old one. They
            // must restart on the release that they run.
            let runs_old: Vec<_> =
                rollout.machine.steps().iter().map(Step::instance).filter(|i| self.runs(*i, from)).collect();
            self.link_those(Some(from.clone()), |instance, _| runs_old.contains(&instance));
        }
        // A worker beyond the wanted number may be linked to a release that was only tried on it.
        self.link_those(self.release.clone(), |instance, wanted| instance.number() > wanted);
        if let (Some(_), Some(to)) = (&rollout.plan.from, &rollout.plan.to) {
            if is_done {
                self.disk(Disk::Accept(to.clone()), Purpose::Warn("it stays marked as failed"));
            }
            let survey = Disk::Survey { stages_package: false, current: self.release.clone() };
            self.disk(survey, Purpose::PruneSurvey);
        }
        self.apply_deferred();
        self.begin_queued();
    }

    /// Links each instance that `is_one` selects to this release, unless it is linked to it. The rollout does
    /// not replace these workers: an operator stopped them, or they are not wanted. If one is started, it
    /// then begins on the release of the others.
    fn link_those(&mut self, release: Option<ReleaseId>, is_one: impl Fn(Instance, u32) -> bool) {
        let Some(release) = release else { return };
        let wanted = self.settings.workers;
        let is_other = |instance: &&Instance| {
            self.ledger.points_to(**instance) != Some(&release) && is_one(**instance, wanted)
        };
        let others: Vec<_> = self.ledger.pointed.keys().filter(is_other).copied().collect();
        for instance in others {
            self.point(instance, &release, Purpose::Point(instance, release.clone()));
        }
    }

    /// Applies the deferred settings as soon as no rollout is under way.
    pub(super) fn apply_deferred(&mut self) {
        // When the orchestrator ends, it drops the rollout, but the next orchestrator continues it.
        let is_alive = matches!(self.phase, Phase::Starting | Phase::Running);
        let is_idle = is_alive && !self.is_busy() && self.unfinished.is_none();
        let Some(settings) = self.deferred.filter(|_| is_idle) else { return };
        if !self.is_surplus_old(self.settings.workers, settings.workers) {
            self.settings = settings;
            self.deferred = None;
            self.note_missing();
        }
    }

    /// Whether the new number includes a surplus worker that does not run the current release. It has to be
    /// stopped first, because no rollout would bring it to that release.
    pub(super) fn is_surplus_old(&self, wanted: u32, to_be_wanted: u32) -> bool {
        let comes = wanted + 1..=to_be_wanted;
        self.stragglers().iter().any(|instance| comes.contains(&instance.number()))
    }

    /// Notes in the ledger that the wanted workers that do not run are to be started. Otherwise the next
    /// orchestrator may take the last job of such a worker for an operator's stop.
    pub(super) fn note_missing(&mut self) {
        let is_up = |instance: &Instance| self.workers.get(instance).is_some_and(super::supervise::is_up);
        let missing: Vec<_> = Instance::first(self.settings.workers).filter(|i| !is_up(i)).collect();
        for instance in missing {
            self.ledger.stopped.entry(instance).or_insert(StoppedBy::Us);
        }
        self.is_ledger_saved = false;
    }

    /// The wanted workers that should be ready but are not.
    pub(super) fn missing(&self) -> Vec<Instance> {
        let is_missing = |instance: &Instance| {
            // A worker that is about to be stopped for a pause may still look active.
            let serves = |worker: &Worker| worker.info.unit().is_active() && worker.pause.is_none();
            !self.workers.get(instance).is_some_and(serves) && !self.ledger.is_held(*instance)
        };
        Instance::first(self.settings.workers).filter(is_missing).collect()
    }

    /// Removes releases beyond the number that is kept.
    pub(super) fn prune(&mut self, survey: Result<Box<Survey>, String>) {
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) => {
                return self.warn(format!("failed to tidy up old releases: {error}; they stay on disk"));
            }
        };
        // While the orchestrator ends, it no longer knows which rollouts waited, so it removes nothing.
        let is_alive = matches!(self.phase, Phase::Starting | Phase::Running);
        // A rollout that is being prepared may need a release that was listed before. The next end removes it.
        let is_preparing = matches!(self.activity, Activity::Preparing(_));
        let Some(current) = self.release.clone().filter(|_| is_alive && !is_preparing) else { return };
        if self.is_any_unknown() {
            // The next rollout removes what this one leaves.
            return;
        }
        let in_use = self.releases_in_use();
        let mut on_disk = Vec::new();
        for Found { id, is_rejected, runnable } in &survey.releases {
            let is_in_use = *id == current || in_use.contains(id);
            let is_usable = runnable.is_ok() && !is_rejected;
            on_disk.push(OnDisk { id, is_rejected: *is_rejected, is_in_use, is_usable });
        }
        let surplus = self.history.lineage().surplus(&on_disk, &current, self.settings.keep);
        let surplus: Vec<ReleaseId> = surplus.into_iter().cloned().collect();
        self.disk(Disk::Remove(surplus.clone()), Purpose::Removed(surplus));
    }

    /// Whether it is not known what some process executes, because its link is or was to be removed.
    fn is_any_unknown(&self) -> bool {
        let is_linked = |instance: &Instance| self.ledger.points_to(*instance).is_some();
        self.workers.iter().any(|(instance, worker)| worker.info.main_pid != 0 && !is_linked(instance))
    }

    pub(super) fn removed(&mut self, ids: &[ReleaseId], done: Result<(), String>) {
        match done {
            Ok(()) if !ids.is_empty() => {
                let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
                self.info(format!("removed old releases: {}", names.join(", ")));
            }
            Ok(()) => {}
            Err(error) => self.warn(format!("failed to tidy up old releases: {error}; they stay on disk")),
        }
    }

    /// The releases that are in use. Workers run them or are linked to them, a rollout is about them or waits
    /// for them, or the watch goes back to them.
    pub(super) fn releases_in_use(&self) -> Vec<ReleaseId> {
        let mut in_use: Vec<ReleaseId> = self.links.values().cloned().collect();
        for (instance, worker) in self.workers.iter().filter(|(_, worker)| worker.info.main_pid != 0) {
            in_use.extend(self.ledger.candidates_at(*instance, worker.info.started_usec).cloned());
        }
        match &self.activity {
            Activity::Rolling(rollout) => {
                in_use.extend([&rollout.plan.to, &rollout.plan.from].into_iter().flatten().cloned());
            }
            Activity::Preparing(preparing) => in_use.extend(preparing.release().cloned()),
            Activity::None => {}
        }
        let unfinished = self.unfinished.iter().flat_map(|entry| [&entry.to, &entry.from]);
        in_use.extend(unfinished.flatten().cloned());
        in_use.extend(self.queue.releases().cloned());
        in_use.extend(self.ledger.watched.iter().flat_map(|watched| [&watched.from, &watched.to]).cloned());
        in_use
    }

    /// Makes this release the current one. If the disk fails, the orchestrator tries again.
    pub(super) fn make_current(&mut self, release: ReleaseId) {
        self.release = Some(release.clone());
        self.disk(Disk::MakeCurrent(release), Purpose::Commit);
    }

    /// Begins the next rollout in the queue.
    pub(super) fn begin_queued(&mut self) {
        if self.is_busy() || !matches!(self.phase, Phase::Running) {
            return;
        }
        if let Some((id, order, callers)) = self.queue.take() {
            self.prepare(id, super::preparing::Purpose::Order(order, None));
            if let Activity::Preparing(preparing) = &mut self.activity {
                preparing.callers = callers;
            }
        }
    }
}
