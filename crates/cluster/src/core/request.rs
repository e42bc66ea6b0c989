//! Requests of clients: to begin a rollout, or to change the one under way.

use super::preparing::Purpose as For;
use super::{Activity, Cluster, Phase, Purpose};
use crate::effect::{Disk, Effect};
use crate::event::Event;
use crate::history::{Entry, Kind, State};
use crate::input::{Caller, Refusal, Reply, Request};
use crate::order::{Order, Target, Withdrawn};
use crate::release::ReleaseId;
use crate::settings::Settings;

impl Cluster {
    /// Answers a request, at once or when the result is known.
    pub(super) fn request(&mut self, caller: Caller, request: Request) {
        let answer = match request {
            Request::Roll(order) => match self.roll(order, Some(caller)) {
                Ok(Some(id)) => Ok(Reply::Rollout(id)),
                // The caller gets its answer when the rollout begins.
                Ok(None) => return,
                Err(refusal) => Err(refusal),
            },
            Request::IsInPlace(release) => Ok(Reply::Is(self.is_in_place(&release))),
            Request::MayReplace { id, is_rejected, is_deployed } => {
                self.may_replace(&id, is_rejected, is_deployed).map(Reply::Is)
            }
            Request::Pause => self.pause().map(|()| Reply::Done),
            Request::Resume => self.resume_paused().map(|()| Reply::Done),
            Request::Abort(rollout) => self.abort(rollout).map(|()| Reply::Done),
            Request::Reconfigure => match self.check_alive() {
                Ok(()) => {
                    self.disk(Disk::Settings, Purpose::ReadSettings(caller));
                    return;
                }
                Err(refusal) => Err(refusal),
            },
        };
        self.effects.push_back(Effect::Reply(caller, answer));
    }

    /// Begins the reload that a signal asks for.
    pub(super) fn reload_by_signal(&mut self) {
        let order = Order { target: Target::Reload, canary: None, by: "a signal".to_owned() };
        if let Err(refusal) = self.roll(order, None) {
            self.error(format!("no rollout begins: {}", refusal.message()));
        }
    }

    /// Begins a rollout, or adds it to the queue behind the one under way. Returns the id of a queued
    /// rollout.
    fn roll(&mut self, order: Order, caller: Option<Caller>) -> Result<Option<u64>, Refusal> {
        self.check_accepts()?;
        if self.is_busy() {
            // The caller wants every worker to run what is there now. The rollout under way does not
            // guarantee that: it has replaced some workers already.
            return self.enqueue(order).map(Some);
        }
        let id = self.new_id();
        self.prepare(id, For::Order(order, caller));
        Ok(None)
    }

    fn check_alive(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Asking(_) | Phase::Stopping(_) | Phase::Ended => {
                Err(Refusal::ShuttingDown("the cluster is being stopped".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Whether a rollout may be requested now.
    fn check_accepts(&self) -> Result<(), Refusal> {
        self.check_alive()?;
        if !self.is_running() {
            return Err(Refusal::Refused("the cluster is still being started; try again".to_owned()));
        }
        match self.rolling().filter(|rollout| rollout.machine.is_waiting()) {
            // The caller would wait for the decision of an operator. An upgrade of the package would hold
            // dpkg's lock meanwhile.
            Some(waiting) => Err(Refusal::Refused(waits_for_somebody(waiting.record.id))),
            None => Ok(()),
        }
    }

    /// Whether all workers run this release, and no other change is pending.
    fn is_in_place(&self, release: &ReleaseId) -> bool {
        let is_over = !self.is_busy() && self.unfinished.is_none();
        let is_quiet = self.is_running() && is_over && self.queue.is_empty();
        is_quiet && self.release.as_ref() == Some(release) && self.stragglers().is_empty()
    }

    /// Whether a release may be deployed again under the same name. It may if a rollout gave it up, or none
    /// brought it to every worker. A rollout must be allowed now, and nothing may use the release.
    fn may_replace(&self, id: &ReleaseId, is_rejected: bool, is_deployed: bool) -> Result<bool, Refusal> {
        self.check_accepts()?;
        let is_of_no_use = is_rejected || self.history.lineage().last_served(id).is_none();
        let is_in_use = self.release.as_ref() == Some(id) || self.releases_in_use().contains(id);
        Ok(is_of_no_use && !is_in_use && is_deployed)
    }

    fn enqueue(&mut self, order: Order) -> Result<u64, Refusal> {
        let id = self.new_id();
        let queued = self.queue.add(order, || id).ok_or_else(|| {
            Refusal::Refused(
                "too many rollouts wait already; `app-cluster abort` ends the current one".to_owned(),
            )
        })?;
        self.info_in(queued, format!("a rollout is running; rollout {queued} is queued after it"));
        Ok(queued)
    }

    /// Refuses the queued rollouts, because the rollout under way now waits for an operator. Their callers
    /// would wait for that operator too.
    pub(super) fn refuse_queued(&mut self) {
        let Some(waiting) = self.rolling().map(|rollout| rollout.record.id) else { return };
        while let Some((id, order, _)) = self.queue.take() {
            self.announce_refused(id, &order, &waits_for_somebody(waiting));
        }
    }

    /// A new id: milliseconds since the Unix epoch, but never the same number twice.
    pub(super) fn new_id(&mut self) -> u64 {
        let last = self.history.entries().last().map_or(0, |entry| entry.id);
        let millis = self.now.epoch_usec() / 1000;
        self.last_id = millis.max(self.last_id.max(last).saturating_add(1));
        self.last_id
    }

    fn pause(&mut self) -> Result<(), Refusal> {
        let id = self.rollout_under_way()?;
        if self.rolling().is_some_and(|rollout| rollout.machine.cause().is_some()) {
            return Err(Refusal::Refused("the rollout takes no further worker already".to_owned()));
        }
        self.info_step(id, "pause", "asked to pause: no further worker is taken".to_owned());
        self.note_in_history(|entry| entry.state = State::Paused);
        if let Some(rollout) = self.rolling_mut() {
            rollout.is_paused_by_person = true;
        }
        self.roll_on(Event::Pause);
        Ok(())
    }

    fn resume_paused(&mut self) -> Result<(), Refusal> {
        let id = self.rollout_under_way()?;
        self.info_step(id, "resume", "asked to go on".to_owned());
        let is_at_canary = self.rolling().is_some_and(|rollout| rollout.machine.is_at_canary());
        self.note_in_history(|entry| {
            if entry.state == State::Paused {
                entry.state = State::Running;
            }
            entry.canary = entry.canary.filter(|_| !is_at_canary);
        });
        if let Some(rollout) = self.rolling_mut() {
            rollout.is_paused_by_person = false;
        }
        self.roll_on(Event::Resume);
        Ok(())
    }

    fn abort(&mut self, rollout: u64) -> Result<(), Refusal> {
        match self.queue.withdraw(rollout) {
            Withdrawn::ByAll(order) => {
                self.info_in(rollout, format!("rollout {rollout} is withdrawn before it began"));
                self.announce_refused(rollout, &order, "withdrawn before it began");
                return Ok(());
            }
            Withdrawn::ByOne => return Ok(()),
            Withdrawn::Unknown => {}
        }
        if let Activity::Preparing(preparing) = &self.activity
            && (rollout == 0 || rollout == preparing.id)
        {
            return self.withdraw_prepared(rollout);
        }
        if let Some(Entry { id, .. }) = self.unfinished
            && (rollout == 0 || rollout == id)
        {
            self.abort_inherited(id);
            return Ok(());
        }
        let id = self.rollout_under_way()?;
        if rollout != 0 && rollout != id {
            return Err(Refusal::NoRollout(format!(
                "there is no rollout {rollout}; the current one is {id}"
            )));
        }
        self.info_step(id, "abort", "asked to give the rollout up".to_owned());
        if self.rolling().is_some_and(|rollout| rollout.plan.kind == Kind::Undo) {
            self.stop_watching();
        }
        self.roll_on(Event::Abort);
        Ok(())
    }

    fn rollout_under_way(&self) -> Result<u64, Refusal> {
        let rolling = self.rolling().filter(|rollout| rollout.outcome.is_none());
        rolling
            .map(|rollout| rollout.record.id)
            .ok_or_else(|| Refusal::NoRollout("no rollout is running".to_owned()))
    }

    /// The configuration was read again. It takes effect without a rollout.
    pub(super) fn reconfigured(&mut self, caller: Caller, read: Result<Settings, String>) {
        let answer = match (self.check_alive(), read) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), Err(problems)) => Err(Refusal::Configuration(problems)),
            (Ok(()), Ok(settings)) => {
                let wanted = settings.workers;
                // The rollout of a predecessor continues with the number of workers with which it began.
                let is_later = self.is_busy() || self.unfinished.is_some();
                let when = if is_later { " once the rollout has ended" } else { "" };
                self.info(format!("configuration read: {wanted} workers wanted{when}"));
                self.deferred = Some(settings);
                self.apply_deferred();
                Ok(Reply::Wanted(wanted))
            }
        };
        self.effects.push_back(Effect::Reply(caller, answer));
    }
}

fn waits_for_somebody(rollout: u64) -> String {
    format!(
        "rollout {rollout} waits for an operator: `app-cluster resume` continues it, `app-cluster abort` ends it"
    )
}
