//! What operators ask the orchestrator for, and what it answers.

use cluster::effect::Disk as Task;
use cluster::input::{Caller, Input, Refusal, Reply, Request};
use cluster::order::{Order, Target};
use cluster::release::ReleaseId;
use cluster::view::RolloutState;

use super::begin::name;
use super::{Item, World};
use crate::chaos::Class;
use crate::release::{BAD, Quality};
use crate::systemd::STRANGER;

/// A call that waits for its reply.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    at: u64,
    is_order: bool,
    /// The rollout to withdraw.
    withdraws: Option<u64>,
    /// The release to which a rollout is ordered.
    release: Option<usize>,
    /// When it was asked, a rollout waited for an operator.
    met_waiting: bool,
}

/// The operators, and what they know.
#[derive(Debug, Default)]
pub(crate) struct People {
    callers: u64,
    pub(crate) asked: Vec<Asked>,
    /// The rollouts that they wait for, each with its release.
    pub(crate) awaited: Vec<(u64, Option<usize>)>,
    /// The rollout that each reply to an order named.
    named: Vec<u64>,
    names: u32,
    /// One of them has paused a rollout, and knows what waits behind it.
    pub(crate) has_paused: bool,
    /// Workers that an operator stopped, and that must stay stopped; as bits.
    pub(crate) must_stay: u16,
    /// Workers that an operator is stopping now, as the orchestrator can hear.
    pub(crate) stopping: u16,
    /// Workers that may stay stopped.
    pub(crate) may_stay: u16,
    /// Workers that an operator is stopping, or has stopped, while there is no orchestrator.
    pub(crate) stopping_away: u16,
    pub(crate) stopped_away: u16,
    /// When an operator last started a worker, in us.
    pub(crate) started_at: Option<u64>,
    /// Until when a stop of each worker is taken for one that the orchestrator, or its predecessor, has asked for
    /// without an answer (docs/decisions/0037), in us.
    claimed: [u64; STRANGER as usize + 1],
    /// A job may be enqueued for which no caller waits any more.
    pub(crate) is_late_job_possible: bool,
}

impl People {
    /// The releases of ordered rollouts that have not ended.
    pub(crate) fn orders(&self) -> impl Iterator<Item = usize> {
        let asked = self.asked.iter().filter_map(|asked| asked.release);
        asked.chain(self.awaited.iter().filter_map(|(_, release)| *release))
    }

    /// How many callers wait for this rollout.
    pub(crate) fn waiting(&self, rollout: u64) -> usize {
        self.named.iter().filter(|named| **named == rollout).count()
    }

    /// Whether a caller is withdrawing this order.
    pub(crate) fn is_withdrawing(&self, rollout: u64) -> bool {
        self.asked.iter().any(|asked| asked.withdraws == Some(rollout))
    }

    /// The whole cluster is stopped. A worker that an operator is just stopping is stopped with all the
    /// others, and started with them again.
    pub(crate) fn stops_all(&mut self) {
        self.must_stay &= !self.stopping;
        self.stopping = 0;
    }

    /// The orchestrator takes the next stop of this worker for one that it may have asked for.
    pub(crate) fn claim(&mut self, worker: u32, now: u64) {
        if let Some(until) = self.claimed.get_mut(worker as usize) {
            *until = now + CARRIED_OUT;
        }
    }

    /// A job has stopped this worker. It may be taken for the orchestrator's.
    pub(crate) fn is_claimed(&self, worker: u32, now: u64) -> bool {
        self.claimed.get(worker as usize).is_some_and(|until| *until > now)
    }

    /// The orchestrator has ended, so no caller waits any more.
    pub(crate) fn end(&mut self) {
        self.asked.clear();
        self.awaited.clear();
        self.named.clear();
        self.must_stay &= !self.stopping;
        self.stopping = 0;
    }
}

/// How long a call without an answer may still lead to a job, for the orchestrator, in us.
const CARRIED_OUT: u64 = 120_000_000;
/// The longest time that a reply takes, in us.
const REPLY_WITHIN: u64 = 130_000_000;
/// The longest time that it takes while a rollout waits for an operator, in us.
const REFUSED_WITHIN: u64 = 1_000_000;

impl World {
    /// The state of the rollout under way, or of the last one, as every caller can see it.
    pub(crate) fn rollout_state(&self) -> Option<RolloutState> {
        let view = self.orchestrator.core.as_ref()?.view(self.clock());
        Some(view.rollout?.state)
    }

    pub(super) fn people(&mut self) {
        if self.chaos.is_quiet {
            return;
        }
        self.operators();
        if self.chaos.strikes(&mut self.rng, Class::Scale) {
            self.disk.settings.workers = self.rng.worker(5);
            let wanted = self.disk.settings.workers;
            self.stopped_beyond(wanted);
            self.ask(Request::Reconfigure);
        }
        if self.chaos.strikes(&mut self.rng, Class::InvalidConfiguration) {
            self.disk.is_configuration_valid = false;
            let pause = self.rng.ms(100, 3_000);
            self.at(pause, Item::Correct);
        }
        self.orders();
        for (class, request) in [
            (Class::Pause, Request::Pause),
            (Class::Resume, Request::Resume),
            (Class::Abort, Request::Abort(0)),
        ] {
            if self.chaos.strikes(&mut self.rng, class) {
                self.people.has_paused |= request == Request::Pause;
                self.ask(request);
            }
        }
        // The last one in the history may be one that an earlier orchestrator began.
        let last = self.disk.history.last().map(|entry| entry.id);
        let known: Vec<u64> = self.people.awaited.iter().map(|(id, _)| *id).chain(last).collect();
        if !known.is_empty() && self.chaos.strikes(&mut self.rng, Class::AbortQueued) {
            let id = self.rng.pick(&known);
            self.ask(Request::Abort(id));
        }
        if self.chaos.strikes(&mut self.rng, Class::Question) {
            self.question();
        }
        let pause = self.rng.ms(50, 2_000);
        self.at(pause, Item::People);
    }

    fn orders(&mut self) {
        let is_first = self.people.names == 0 && self.orchestrator.is_ready;
        if is_first || self.chaos.strikes(&mut self.rng, Class::Deploy) {
            self.deploy();
        }
        if self.chaos.strikes(&mut self.rng, Class::Package) {
            let id = self.new_name("2");
            self.disk.package = (id, self.draw_quality());
            self.order(Target::Reload, None);
        }
        if self.chaos.strikes(&mut self.rng, Class::Reload) {
            self.order(Target::Reload, None);
        }
        if self.orchestrator.is_ready && self.chaos.strikes(&mut self.rng, Class::ReloadSignal) {
            self.is_ordered();
            self.feed(Input::ReloadSignal);
        }
        if self.chaos.strikes(&mut self.rng, Class::Rollback) {
            self.order(Target::Rollback(None), None);
        }
        if self.chaos.strikes(&mut self.rng, Class::RollbackNamed)
            && let Some(id) = self.any_release()
        {
            self.order(Target::Rollback(Some(id)), None);
        }
        if self.chaos.strikes(&mut self.rng, Class::TwoAtOnce) {
            self.deploy();
            self.deploy();
        }
    }

    fn deploy(&mut self) {
        if !self.orchestrator.is_serving {
            return;
        }
        let id = self.new_name("d");
        let quality = self.draw_quality();
        self.trace(|_| format!("release {id} is {quality:?}"));
        self.disk.add(id.clone(), quality, false);
        let is_canary = self.chaos.strikes(&mut self.rng, Class::Canary);
        let canary = is_canary.then(|| self.rng.worker(self.disk.settings.workers));
        self.order(Target::Deploy(id), canary);
    }

    fn draw_quality(&mut self) -> Quality {
        match self.rng.below(10) {
            0..5 => Quality::Good,
            5..7 => Quality::Flaky(self.rng.pick(&[50, 300])),
            _ => Quality::Bad(self.rng.pick(&BAD)),
        }
    }

    pub(super) fn new_name(&mut self, begins: &str) -> ReleaseId {
        self.people.names += 1;
        name(&format!("{begins}.{}", self.people.names))
    }

    fn any_release(&mut self) -> Option<ReleaseId> {
        let len = self.disk.releases.len();
        (len > 0).then(|| self.rng.index(len)).map(|at| self.disk.releases[at].id.clone())
    }

    fn question(&mut self) {
        let Some(id) = self.any_release() else { return };
        let Some(at) = self.disk.find(&id) else { return };
        let release = &self.disk.releases[at];
        let (is_rejected, is_deployed) = (release.is_rejected, !release.is_packaged);
        let request = match self.rng.coin() {
            true => Request::IsInPlace(id),
            false => Request::MayReplace { id, is_rejected, is_deployed },
        };
        self.ask(request);
    }

    pub(super) fn order(&mut self, target: Target, canary: Option<u32>) {
        self.ask(Request::Roll(Order { target, canary, by: "root".to_owned() }));
    }

    pub(super) fn ask(&mut self, request: Request) {
        if !self.orchestrator.is_serving {
            return;
        }
        self.people.callers += 1;
        let caller = Caller(self.people.callers);
        let is_order = matches!(request, Request::Roll(_));
        self.is_ordered();
        let met_waiting = is_order && self.rollout_state() == Some(RolloutState::Paused);
        let release = self.release_of(&request);
        let withdraws = match request {
            Request::Abort(rollout) => Some(rollout),
            _ => None,
        };
        self.people.asked.push(Asked { caller, at: self.now, is_order, withdraws, release, met_waiting });
        if request == Request::Resume {
            self.watch_resume();
        }
        let life = self.orchestrator.life;
        let within = if met_waiting { REFUSED_WITHIN } else { REPLY_WITHIN };
        self.at(within, Item::Expect { life, caller });
        self.feed(Input::Request(caller, request));
    }

    fn release_of(&self, request: &Request) -> Option<usize> {
        let Request::Roll(order) = request else { return None };
        match &order.target {
            Target::Deploy(id) | Target::Rollback(Some(id)) | Target::Undo(id) => self.disk.find(id),
            Target::Reload | Target::Rollback(None) | Target::Recycle(_) => None,
        }
    }

    /// A caller gets its reply.
    pub(crate) fn replied(&mut self, caller: Caller, reply: &Result<Reply, Refusal>) {
        let Some(at) = self.people.asked.iter().position(|asked| asked.caller == caller) else {
            return self.violate("one reply", || format!("{caller:?} was answered already, or never called"));
        };
        let asked = self.people.asked.swap_remove(at);
        if asked.met_waiting && reply.is_ok() {
            self.violate("who waits for a person is refused", || format!("{caller:?}: {reply:?}"));
        }
        if let (Some(rollout), Ok(Reply::Done)) = (asked.withdraws, reply)
            && let Some(at) = self.people.named.iter().position(|named| *named == rollout)
        {
            self.people.named.swap_remove(at);
        }
        if let (true, Ok(Reply::Rollout(id))) = (asked.is_order, reply) {
            self.people.named.push(*id);
        }
        if let (true, Ok(Reply::Rollout(id))) = (asked.is_order, reply)
            && self.people.awaited.iter().all(|(known, _)| known != id)
        {
            self.people.awaited.push((*id, asked.release));
            self.watch_awaited();
        }
    }

    pub(super) fn expect_reply(&mut self, caller: Caller) {
        if let Some(asked) = self.people.asked.iter().find(|asked| asked.caller == caller) {
            let since = (self.now - asked.at) / 1_000_000;
            self.violate("a reply in time", || format!("{caller:?} has waited for {since} s"));
        }
    }

    /// A task for the disk is about to be performed.
    pub(crate) fn watch_task(&mut self, task: &Task) {
        match task {
            Task::Remove(ids) => self.watch_removal(ids),
            Task::MakeCurrent(id) if self.is_new_at_the_start(id) => self.watch_left(id, true),
            Task::Point(instance, release) => self.watch_link(*instance, release),
            Task::History(entries) => self.watch_history(entries),
            _ => {}
        }
    }
}
