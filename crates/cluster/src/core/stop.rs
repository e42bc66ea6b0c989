//! The end of the orchestrator.
//!
//! `systemctl restart` replaces only the orchestrator; `systemctl stop` also stops the workers. In a stop,
//! the orchestrator stops every worker, whatever its state and whatever is under way. It ends only after a
//! last inspection has found each worker down.

use std::time::Duration;

use names::Instance;

use super::preparing::{Purpose as For, Step};
use super::worker::{Look, Owner, Verb, Worker};
use super::{Activity, Cluster, Phase, Purpose};
use crate::effect::{Call, Effect};
use crate::input::{OwnJob, Refusal};
use crate::ledger::StoppedBy;
use crate::moment::Moment;

/// The time that a stop takes beyond the timeouts of the workers.
const MARGIN: Duration = Duration::from_secs(10);

/// How long the orchestrator asks systemd why it has to end. Until then, it leaves the workers as they are.
const ASKING: Duration = Duration::from_secs(10);

/// How often a stop is tried that systemd refuses or does not answer. After that, only `ExecStopPost=` is
/// left, which runs as root.
const TRIES: u32 = 3;

/// How far the check is that all workers have stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Not all workers seem to have stopped.
    NotYet,
    /// All seem to have stopped, and systemd is asked for all units again.
    Listing,
    /// Each worker is inspected again.
    Inspecting,
}

impl Cluster {
    /// Handles SIGTERM. The job of the orchestrator's unit tells the reason. If there is no job, kill(1) sent
    /// the signal, and no worker is stopped.
    pub(super) fn terminate(&mut self) {
        if matches!(self.phase, Phase::Asking(_) | Phase::Stopping(_) | Phase::Ended) {
            return;
        }
        self.drop_rollouts();
        self.phase = Phase::Asking(self.in_time(ASKING));
        self.ask_why();
    }

    /// Drops all rollouts, and answers their callers. The history and the state of the workers tell the next
    /// orchestrator whether to continue.
    fn drop_rollouts(&mut self) {
        let gone = || Refusal::ShuttingDown("the orchestrator is stopping".to_owned());
        if let Activity::Preparing(preparing) = std::mem::replace(&mut self.activity, Activity::None) {
            if matches!(preparing.step, Step::Writing(..)) {
                // The caller learns that the rollout does not begin, so the next orchestrator must not begin
                // it.
                self.history.forget(preparing.id);
                self.save_history();
            }
            if let For::Order(_, Some(caller)) = preparing.purpose {
                self.effects.push_back(Effect::Reply(caller, Err(gone())));
            }
        }
        self.unfinished = None;
        while self.queue.take().is_some() {}
    }

    /// Asks systemd why the orchestrator has to end. The ledger has to be read first: a stop writes down which
    /// workers it stops, and must not lose what the predecessor wrote.
    pub(super) fn ask_why(&mut self) {
        if self.is_connected && self.is_opened {
            self.call(Call::OwnJob, Purpose::OwnJob);
        }
    }

    pub(super) fn own_job(&mut self, job: Result<OwnJob, String>) {
        let Phase::Asking(until) = self.phase else { return };
        match job {
            Ok(OwnJob::Stop) => self.stop_all(),
            Ok(OwnJob::None | OwnJob::Other) => {
                self.info("ending; the workers go on serving".to_owned());
                self.exit();
            }
            Err(_) if !self.is_connected && self.now.moment < until => {}
            Err(error) => {
                self.warn(format!("{error}; the workers go on serving"));
                self.exit();
            }
        }
    }

    fn exit(&mut self) {
        self.phase = Phase::Ended;
        self.save_ledger();
        self.effects.push_back(Effect::Exit);
    }

    fn stop_all(&mut self) {
        self.phase = Phase::Stopping(Check::NotYet);
        self.workers.retain(|_, worker| !worker.info.is_stranger());
        let running = self.workers.values().filter(|worker| !worker.info.is_down()).count();
        self.info(format!("stopping {running} workers"));
        for (instance, worker) in &mut self.workers {
            worker.pause = None;
            worker.not_before = None;
            worker.refusals = 0;
            if !self.ledger.is_held(*instance) {
                self.ledger.stopped.insert(*instance, StoppedBy::Us);
            }
        }
        self.is_ledger_saved = false;
        self.extend();
        self.call(Call::List, Purpose::List);
    }

    /// Asks systemd to wait for the orchestrator as long as it waits for a worker.
    pub(super) fn extend(&mut self) {
        let longest = self.workers.values().map(|worker| worker.info.restart_timeout()).max();
        self.effects.push_back(Effect::Extend(longest.unwrap_or_default().saturating_add(MARGIN)));
    }

    /// Stops the workers that are not down, and ends when all are. The next start of the cluster starts all
    /// of them.
    pub(super) fn maybe_stopped(&mut self) {
        match self.phase {
            Phase::Asking(until) if until <= self.now.moment => {
                self.warn("asked to end, and systemd does not say why; the workers go on serving".to_owned());
                self.exit();
            }
            Phase::Stopping(check) if self.is_connected => self.stop_remaining(check),
            _ => {}
        }
    }

    fn stop_remaining(&mut self, check: Check) {
        let now = self.now.moment;
        if let Some(reason) = self.refused_for_good() {
            self.phase = Phase::Ended;
            return self.effects.push_back(Effect::Fail(reason));
        }
        let is_left = |worker: &Worker| {
            let is_being_stopped = worker.is_being_stopped();
            let may_run = !worker.info.is_down() || worker.job.is_some() || worker.unanswered.is_some();
            may_run && !is_being_stopped && worker.looks == 0 && worker.not_before.is_none_or(|at| at <= now)
        };
        let left: Vec<_> =
            self.workers.iter().filter(|(_, worker)| is_left(worker)).map(|(i, _)| *i).collect();
        for instance in &left {
            if let Some(worker) = self.workers.get_mut(instance) {
                worker.unanswered = None;
            }
            self.stop(*instance, Owner::Shutdown);
        }
        let is_asked = |worker: &Worker| worker.looks > 0 || !worker.failed_looks.is_empty();
        if left.is_empty() && self.workers.values().any(is_asked) {
            return;
        }
        let is_over = self.workers.values().all(|worker| worker.is_at_rest() && worker.info.is_down());
        match check {
            _ if !left.is_empty() || !is_over => self.phase = Phase::Stopping(Check::NotYet),
            Check::NotYet if !self.is_listing() => {
                self.phase = Phase::Stopping(Check::Listing);
                self.call(Call::List, Purpose::List);
            }
            Check::NotYet | Check::Listing => {}
            Check::Inspecting => self.stopped(),
        }
    }

    fn is_listing(&self) -> bool {
        self.purposes.values().any(|purpose| *purpose == Purpose::List)
    }

    /// systemd has listed the units while all workers are being stopped.
    pub(super) fn listed_while_stopping(&mut self, instances: Vec<Instance>) {
        for instance in instances {
            self.workers.entry(instance).or_default();
        }
        if let Phase::Stopping(Check::Listing) = self.phase {
            self.phase = Phase::Stopping(Check::Inspecting);
        }
        let all: Vec<_> = self.workers.keys().copied().collect();
        for instance in all {
            self.inspect(instance, Look::Plain);
        }
    }

    fn refused_for_good(&self) -> Option<String> {
        let (instance, _) = self.workers.iter().find(|(_, worker)| worker.refusals >= TRIES)?;
        Some(format!(
            "systemd refuses to {} {instance}, so workers go on serving; see `systemctl status polkit`, and `systemctl stop {}` stops all of them",
            Verb::Stop.word(),
            self.names.target
        ))
    }

    fn stopped(&mut self) {
        let socket = self.socket.clone();
        let rest = socket.and_then(|socket| self.missing_words(&socket)).unwrap_or_else(|| {
            "the socket keeps listening, a connection starts the cluster again".to_owned()
        });
        self.info(format!("all workers are stopped; {rest}"));
        // An operator who starts the cluster again wants all workers, even if some were started by hand
        // before.
        self.ledger.stopped.values_mut().for_each(|by| *by = StoppedBy::Us);
        self.is_ledger_saved = false;
        self.exit();
    }

    pub(super) fn stop_wake(&self) -> Option<Moment> {
        match self.phase {
            Phase::Asking(until) => Some(until),
            _ => None,
        }
    }
}
