//! What people ask for: rollouts, and what becomes of the one under way.

use std::time::{SystemTime, UNIX_EPOCH};

use rollout::Event;
use tokio::sync::oneshot;

use super::{Driver, Phase};
use crate::history::State;
use crate::orders::{Order, Wish};
use crate::releases::ReleaseId;
use crate::service::Request;

impl Driver {
    /// Answers a call. Whoever asked may have gone meanwhile.
    pub(super) async fn request(&mut self, request: Request) {
        match request {
            Request::Roll(order, reply) => {
                let answer = self.request_rollout(order).await;
                self.answer(reply, answer);
            }
            Request::IsInPlace(release, reply) => {
                let answer = self.is_in_place(&release);
                self.answer(reply, answer);
            }
            Request::MayReplace(release, reply) => {
                let answer = self.may_replace(&release);
                self.answer(reply, answer);
            }
            Request::Pause(reply) => {
                let answer = self.pause().await;
                self.answer(reply, answer);
            }
            Request::Resume(reply) => {
                let answer = self.resume().await;
                self.answer(reply, answer);
            }
            Request::Abort(rollout, reply) => {
                let answer = self.abort(rollout).await;
                self.answer(reply, answer);
            }
            Request::Reconfigure(reply) => {
                let answer = self.reconfigure().await;
                self.answer(reply, answer);
            }
        }
    }

    /// What the caller reads next is as it was just told.
    fn answer<T>(&self, reply: oneshot::Sender<T>, answer: T) {
        self.update_snapshot();
        let _ = reply.send(answer);
    }

    /// A reload that a signal asks for.
    pub(super) async fn roll_requested(&mut self) {
        let order = Order { wish: Wish::Reload, canary: None, by: "a signal".to_owned() };
        if let Err(error) = self.request_rollout(order).await {
            tracing::error!("no rollout begins: {}", error.message());
        }
    }

    /// Begins a rollout, or has one follow the one that runs; returns its id.
    pub(super) async fn request_rollout(&mut self, order: Order) -> Result<u64, api::Error> {
        self.check_accepts()?;
        if self.rolling.is_some() {
            // The caller wants every worker to run what is there now. The rollout under way does not promise that:
            // it has replaced some workers already.
            return self.enqueue(order);
        }
        let id = self.new_id();
        let begun = self.begin_rollout(id, order).await;
        // `systemctl reload` has no way to its caller's terminal; `systemctl status` shows this.
        self.refused = begun.as_ref().err().map(api::Error::message);
        begun.map(|()| id)
    }

    /// Whether a rollout may be asked for now.
    fn check_accepts(&self) -> Result<(), api::Error> {
        match self.phase {
            Phase::Stopping | Phase::Ended => {
                return Err(api::Error::ShuttingDown("the cluster is being stopped".to_owned()));
            }
            Phase::Starting => {
                return Err(api::Error::Refused("the cluster is still being started; try again".to_owned()));
            }
            Phase::Running => {}
        }
        if let Some(waiting) = self.rolling.as_ref().filter(|running| running.machine.is_waiting()) {
            // Whoever asks would wait for somebody else's decision, an upgrade of the package with dpkg's lock in hand.
            return Err(api::Error::Refused(format!(
                "rollout {} waits for somebody: `app-cluster resume` goes on with it, `app-cluster abort` ends it",
                waiting.record.id
            )));
        }
        Ok(())
    }

    /// Whether this release is what all workers run, and nothing else is about to come.
    fn is_in_place(&self, release: &ReleaseId) -> bool {
        let is_quiet = self.phase == Phase::Running && self.rolling.is_none() && self.queue.is_empty();
        is_quiet && self.cluster.release.as_ref() == Some(release) && self.cluster.stragglers().is_empty()
    }

    /// A release that was given up, or that no rollout brought to every worker, may be deployed anew under its name; if a rollout
    /// would be accepted now.
    fn may_replace(&self, id: &ReleaseId) -> Result<bool, api::Error> {
        self.check_accepts()?;
        let is_of_no_use = self.releases.is_rejected(id) || self.history.lineage().last_served(id).is_none();
        let is_in_use = self.cluster.release.as_ref() == Some(id) || self.in_use().contains(&id);
        Ok(is_of_no_use && !is_in_use && self.releases.is_deployed(id))
    }

    /// The releases that workers run, or that a rollout is about or waits for.
    pub(super) fn in_use(&self) -> Vec<&ReleaseId> {
        let by_workers = self.cluster.workers.values().filter_map(|worker| self.cluster.release_of(worker));
        let by_rollout = self.rolling.as_ref().map(|running| [&running.prepared.to, &running.prepared.from]);
        let by_rollout = by_rollout.into_iter().flatten().flatten();
        let unfinished = self.unfinished.as_ref().map(|entry| [&entry.to, &entry.from]);
        let unfinished = unfinished.into_iter().flatten().flatten();
        by_workers.chain(by_rollout).chain(unfinished).chain(self.queue.releases()).collect()
    }

    fn enqueue(&mut self, order: Order) -> Result<u64, api::Error> {
        if let Wish::Rollback(Some(release)) = &order.wish {
            self.check_known(release)?;
        }
        let id = self.new_id();
        let queued = self.queue.add(order, || id).ok_or_else(|| {
            api::Error::Refused(
                "too many rollouts wait already; `app-cluster abort` ends the one under way".to_owned(),
            )
        })?;
        tracing::info!(rollout = queued, "a rollout is under way; rollout {queued} follows it");
        Ok(queued)
    }

    /// Milliseconds since the epoch, and never the same twice.
    pub(super) fn new_id(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let last = self.history.entries().last().map_or(0, |entry| entry.id);
        self.last_id = millis.max(self.last_id.max(last) + 1);
        self.last_id
    }

    async fn pause(&mut self) -> Result<(), api::Error> {
        let id = self.rollout_under_way()?;
        if self.rolling.as_ref().is_some_and(|running| running.machine.cause().is_some()) {
            return Err(api::Error::Refused("the rollout goes back to the old release already".to_owned()));
        }
        tracing::info!(rollout = id, step = "pause", "asked to pause: no further worker is taken");
        self.note_in_history(State::Paused, None);
        self.roll_on(Event::Pause).await;
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), api::Error> {
        let id = self.rollout_under_way()?;
        tracing::info!(rollout = id, step = "resume", "asked to go on");
        if self.rolling.as_ref().is_some_and(|running| running.prepared.is_recorded()) {
            let resumed = self.history.amend(id, |entry| {
                if entry.state == State::Paused {
                    entry.state = State::Running;
                }
                entry.canary = None;
            });
            self.warn_of_history(resumed);
        }
        self.roll_on(Event::Resume).await;
        Ok(())
    }

    async fn abort(&mut self, rollout: u64) -> Result<(), api::Error> {
        if let Some(order) = self.queue.withdraw(rollout) {
            tracing::info!(rollout, "rollout {rollout} is withdrawn before it began");
            self.tell_refused(rollout, &order, "withdrawn before it began".to_owned()).await;
            return Ok(());
        }
        let id = self.rollout_under_way()?;
        if rollout != 0 && rollout != id {
            return Err(api::Error::NoRollout(format!("there is no rollout {rollout}; under way is {id}")));
        }
        tracing::info!(rollout = id, step = "abort", "asked to give the rollout up");
        self.roll_on(Event::Abort).await;
        Ok(())
    }

    fn rollout_under_way(&self) -> Result<u64, api::Error> {
        let running = self.rolling.as_ref().filter(|running| running.outcome.is_none());
        running
            .map(|running| running.record.id)
            .ok_or_else(|| api::Error::NoRollout("no rollout is under way".to_owned()))
    }

    pub(super) fn check_known(&self, release: &ReleaseId) -> Result<(), api::Error> {
        let is_known = |releases: &[crate::releases::Release]| releases.iter().any(|r| r.id == *release);
        match self.releases.list() {
            Ok(releases) if is_known(&releases) => Ok(()),
            Ok(_) => Err(api::Error::NoSuchRelease(format!(
                "there is no release {release}; `app-cluster releases` lists them"
            ))),
            Err(error) => Err(api::Error::Refused(format!("failed to list the releases: {error}"))),
        }
    }

    /// Reads the configuration again and goes by it, without a rollout.
    async fn reconfigure(&mut self) -> Result<u32, api::Error> {
        if self.phase == Phase::Stopping {
            return Err(api::Error::ShuttingDown("the cluster is being stopped".to_owned()));
        }
        let settings = super::load_settings()?;
        let wanted = super::wanted(&settings);
        if self.rolling.is_some() {
            tracing::info!("configuration read: {wanted} workers wanted once the rollout has ended");
            self.deferred = Some(settings);
            return Ok(wanted);
        }
        self.go_by(settings);
        tracing::info!("configuration read: {wanted} workers wanted");
        self.correct().await;
        // One that is too many and does not run, as after its last failure, is stopped by no job whose end would say so.
        self.forget_surplus().await;
        Ok(wanted)
    }

    pub(super) fn go_by(&mut self, settings: config::Settings) {
        self.cluster.desired = super::wanted(&settings);
        self.settings = settings;
    }
}
