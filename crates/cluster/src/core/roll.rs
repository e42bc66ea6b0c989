//! How a rollout is carried out. The machine decides what comes next; this module turns that into jobs, links
//! and deadlines.

use std::time::Duration;

use names::Instance;

use super::active::{ActiveRollout, LONGEST_STEP, LastWords};
use super::worker::{Look, Owner, Worker};
use super::{Activity, Cluster, PATIENCE, Purpose};
use crate::breach::Breach;
use crate::effect::Effect;
use crate::event::{Action, Attempt, Cause, Event, Fault};
use crate::history::State;
use crate::input::{About, LastWords as Words, Speaker};
use crate::numbers::Compared;
use crate::step::{Step, StepState};
use crate::unit::{ActiveState, JobResult};
use crate::view;

/// How much longer the rollout waits, each time, for a worker for which systemd still waits.
const LONGER: Duration = Duration::from_secs(10);

impl Cluster {
    /// Begins to carry out a rollout.
    pub(super) fn run_machine(&mut self, rollout: ActiveRollout, actions: Vec<Action>) {
        self.activity = Activity::Rolling(Box::new(rollout));
        self.perform(actions);
    }

    /// Hands an event to the machine, and performs the actions that it returns.
    pub(super) fn roll_on(&mut self, event: Event) {
        if let Event::Looked { instance, .. } = &event {
            let runs_old = self.runs_old(*instance);
            if let Some(rollout) = self.rolling_mut() {
                rollout.machine.note_old(*instance, runs_old);
            }
        }
        let Some(rollout) = self.rolling_mut().filter(|rollout| rollout.outcome.is_none()) else { return };
        let actions = rollout.machine.handle(event);
        self.perform(actions);
    }

    /// Whether this worker's process is known to execute the release to go back to.
    fn runs_old(&self, instance: Instance) -> bool {
        let from = self.rolling().and_then(|rollout| rollout.plan.from.as_ref());
        from.is_some_and(|from| self.runs(instance, from))
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Restart(instance, attempt) => self.restart(instance, attempt),
                Action::Stop(instance, attempt) => {
                    self.try_begins(instance, attempt);
                    self.stop(instance, Owner::Rollout(attempt));
                }
                Action::Settle(instance, settle) => {
                    let (over, is_automatic) =
                        (self.in_time(settle), self.settings.worker_deadline.is_none());
                    if let Some(rollout) = self.rolling_mut() {
                        rollout.settling.insert(instance, over);
                        if is_automatic {
                            // The worker may have become ready long after its deadline, because systemd had
                            // given it more time.
                            rollout.raise(instance, over.saturating_add(LONGER));
                        }
                    }
                    self.begin_count(instance);
                }
                Action::TellUndecided(instance, why) => self.log_undecided(instance, &why),
                Action::RestoreRelease => self.restore_release(),
                Action::LinkBack(instance) => self.link_back(instance),
                Action::Finish(outcome) => {
                    if let Some(rollout) = self.rolling_mut() {
                        rollout.outcome = Some(outcome);
                    }
                }
                Action::Ignore(_) => {}
            }
        }
        self.note_halt();
        self.ask_for_last_words();
        self.keep_time();
        self.publish();
        self.maybe_finish();
    }

    fn restart(&mut self, instance: Instance, attempt: Attempt) {
        self.try_begins(instance, attempt);
        let Some(rollout) = self.rolling() else { return };
        let plan = &rollout.plan;
        let release = match rollout.machine.is_restoring() {
            true => plan.from.clone().or_else(|| plan.to.clone()),
            false => plan.to.clone(),
        };
        self.start(instance, Owner::Rollout(attempt), release);
    }

    /// Begins a try: gives it a deadline, and forgets the failures of the worker.
    fn try_begins(&mut self, instance: Instance, attempt: Attempt) {
        let now = self.now;
        self.know(instance);
        let Some(rollout) = self.rolling_mut() else { return };
        if !rollout.try_begins(instance, attempt, now) {
            return;
        }
        rollout.settling.remove(&instance);
        let is_forward = rollout.machine.cause().is_none();
        self.effects.push_back(Effect::EndCount(instance));
        if let Some(worker) = self.workers.get_mut(&instance) {
            worker.backoff.forget();
            (worker.pause, worker.retry, worker.retries) = (None, None, 0);
            (worker.not_before, worker.refusals) = (None, 0);
            if is_forward {
                worker.last_exit = None;
            }
        }
    }

    /// Does what is due for the rollout at this time.
    pub(super) fn roll_what_is_due(&mut self) {
        let now = self.now.moment;
        let Some(rollout) = self.rolling_mut().filter(|rollout| rollout.outcome.is_none()) else { return };
        let id = rollout.record.id;
        let settled: Vec<_> = rollout
            .settling
            .iter()
            .filter(|(_, over)| **over <= now)
            .map(|(instance, _)| *instance)
            .collect();
        for instance in &settled {
            rollout.settling.remove(instance);
        }
        let looks = rollout.look_at_all.is_some_and(|at| at <= now);
        for instance in settled {
            let attempt =
                self.rolling().and_then(|rollout| rollout.machine.step(instance)).map(|step| step.attempt);
            if let Some(attempt) = attempt {
                self.inspect(instance, Look::Settled(id, attempt));
            }
        }
        if looks {
            self.look_if_stalled();
        }
        let overdue = self.rolling().map(|rollout| rollout.overdue_tries(now)).unwrap_or_default();
        for (instance, attempt) in overdue {
            if !self.wait_for_systemd(instance) {
                self.roll_on(Event::StepDeadline { instance, attempt });
            }
        }
        if self.rolling().is_some_and(|rollout| rollout.outcome.is_none() && rollout.is_overdue(now)) {
            self.roll_on(Event::Deadline);
            if let Some(rollout) = self.rolling_mut() {
                // The machine has got the event.
                rollout.time_is_told();
            }
        }
    }

    /// Waits for systemd, if only systemd's own timeouts limit the step. A worker may have asked for more
    /// time (`EXTEND_TIMEOUT_USEC=` in sd_notify(3)). As long as systemd works on the job, only systemd gives
    /// up. Returns whether the rollout waits.
    fn wait_for_systemd(&mut self, instance: Instance) -> bool {
        let has_limit = self.rolling().is_some_and(|rollout| rollout.plan.step_timeout < LONGEST_STEP);
        let is_automatic = self.settings.worker_deadline.is_none() && has_limit;
        let is_under_way = |worker: &Worker| {
            worker.has_own_job()
                && matches!(worker.info.active, ActiveState::Activating | ActiveState::Deactivating)
        };
        let waits =
            is_automatic && self.is_connected && self.workers.get(&instance).is_some_and(is_under_way);
        let (until, is_limited) = (self.in_time(LONGER), self.settings.deadline.is_some());
        let Some(rollout) = self.rolling_mut().filter(|_| waits) else { return false };
        let is_waited_for = rollout.postpone(instance, until, is_limited);
        self.publish();
        is_waited_for
    }

    /// The settle time is over, and the worker was inspected after that.
    pub(super) fn has_settled(&mut self, instance: Instance, id: u64, attempt: Attempt) {
        let is_it = |rollout: &&ActiveRollout| {
            rollout.record.id == id
                && rollout.machine.step(instance).is_some_and(|step| step.attempt == attempt)
        };
        let Some(rollout) = self.rolling().filter(is_it) else { return };
        let workers = self.counted(&rollout.machine.to_compare(instance));
        if workers.is_empty() {
            return self.compared(instance, id, Err("no comparison is configured".to_owned()));
        }
        let token = self.token(Purpose::Compare(instance, id));
        self.effects.push_back(Effect::Compare(token, workers));
    }

    pub(super) fn compared(&mut self, instance: Instance, id: u64, compared: Result<Compared, String>) {
        if self.rolling().is_none_or(|rollout| rollout.record.id != id) {
            return;
        }
        let Some(worker) = self.workers.get(&instance) else { return };
        let unit = worker.unit();
        self.roll_on(Event::Settled { instance, unit, compared });
        let goes_on = |rollout: &ActiveRollout| !rollout.machine.to_compare(instance).is_empty();
        if !self.rolling().is_some_and(goes_on) {
            self.effects.push_back(Effect::EndCount(instance));
        }
    }

    fn begin_count(&mut self, instance: Instance) {
        let Some(rollout) = self.rolling() else { return };
        let workers = self.counted(&rollout.machine.to_compare(instance));
        if !workers.is_empty() {
            self.effects.push_back(Effect::BeginCount(workers));
        }
    }

    fn counted(&self, instances: &[Instance]) -> Vec<(Instance, u32)> {
        let with_pid = |instance: &Instance| Some((*instance, self.workers.get(instance)?.info.main_pid));
        instances.iter().filter_map(with_pid).collect()
    }

    /// Stops the clock while the rollout waits for an operator, and notes the wait in the history. If the
    /// rollout waits for a worker to serve again, schedules an inspection, because the signal may be missed.
    fn keep_time(&mut self) {
        let (now, later) = (self.now.moment, self.in_time(PATIENCE));
        let Some(rollout) = self.rolling_mut().filter(|rollout| rollout.outcome.is_none()) else { return };
        let was_waiting = rollout.record.state == view::RolloutState::Paused;
        let is_waiting = rollout.machine.is_waiting();
        rollout.mind_the_clock(now);
        rollout.note_who_waits();
        if rollout.is_stalled() && rollout.relinking == 0 {
            rollout.look_at_all.get_or_insert(later);
        }
        let was_asked_to = rollout.is_paused_by_person;
        if is_waiting && !was_waiting {
            self.note_in_history(|entry| entry.state = State::Paused);
            // An operator who pauses a rollout knows what waits behind it. A canary may pause it when no
            // operator thinks of it.
            if !was_asked_to {
                self.refuse_queued();
            }
        }
    }

    /// Inspects every worker of the rollout.
    pub(super) fn look_at_all(&mut self, look: &Look) {
        let Some(rollout) = self.rolling_mut() else { return };
        rollout.look_at_all = None;
        let instances: Vec<_> = rollout.machine.steps().iter().map(Step::instance).collect();
        for instance in instances {
            self.workers.entry(instance).or_default();
            self.inspect(instance, look.clone());
        }
    }

    /// Inspects all workers if the rollout waits for one to serve again, because that signal may have been
    /// missed.
    fn look_if_stalled(&mut self) {
        let Some(rollout) = self.rolling_mut() else { return };
        rollout.look_at_all = None;
        if rollout.is_stalled() {
            self.look_at_all(&Look::Plain);
        }
    }

    /// The rollout has halted: it neither continues nor goes back. The next orchestrator has to know.
    fn note_halt(&mut self) {
        let halted =
            self.rolling().filter(|rollout| !rollout.has_turned_back && !rollout.machine.is_restoring());
        let Some(cause) = halted.and_then(|rollout| rollout.machine.cause()).map(ToString::to_string) else {
            return;
        };
        let is_noted = self.history.entries().last().is_some_and(|entry| entry.failure.is_some());
        if !is_noted {
            self.note_in_history(|entry| entry.failure = Some(cause));
        }
    }

    /// As soon as a worker has failed, reads its last log lines, before other processes log more.
    fn ask_for_last_words(&mut self) {
        let Some(rollout) = self.rolling() else { return };
        let (LastWords::NotNeeded, Some(Cause::Fault(instance, fault))) =
            (rollout.last_words, rollout.machine.cause())
        else {
            return;
        };
        let (instance, fault, id) = (*instance, fault.clone(), rollout.record.id);
        let since_usec = rollout.speaks_since(instance);
        let worker = self.workers.get(&instance).filter(|_| is_of_the_process(&fault));
        let exit = worker.and_then(|worker| worker.last_exit.clone());
        let breach = worker.filter(|_| exit.is_some()).and_then(|worker| worker.breach);
        let run = rollout.run_of(instance);
        let about = match worker {
            Some(worker) if !worker.info.has_executed() => About::NotExecuted,
            _ if breach == Some(Breach::NeverReady) => About::Unheard,
            _ => About::Nothing,
        };
        let reason = reason(&fault, exit.as_deref(), breach);
        let token = self.token(Purpose::LastWords(id));
        let (invocation, pid) = (run.map(|run| run.invocation), run.map_or(0, |run| run.pid));
        let speaker = Speaker { instance, invocation, pid, since_usec, about };
        self.effects.push_back(Effect::LastWords(token, speaker));
        if let Some(rollout) = self.rolling_mut() {
            rollout.record.failure = Some(view::Failure { instance, reason, journal: Vec::new() });
            rollout.last_words = LastWords::Awaited;
        }
    }

    pub(super) fn heard_last_words(&mut self, id: u64, words: Words) {
        let exits = |instance: &Instance| self.workers.get(instance).and_then(|w| w.last_exit.clone());
        let exit = self
            .rolling()
            .and_then(|rollout| rollout.record.failure.as_ref())
            .and_then(|f| exits(&f.instance));
        let Some(rollout) = self.rolling_mut().filter(|rollout| rollout.record.id == id) else { return };
        rollout.last_words = LastWords::Known;
        let fault = match rollout.machine.cause() {
            Some(Cause::Fault(_, fault)) => Some(fault.clone()),
            _ => None,
        };
        if let Some(failure) = &mut rollout.record.failure {
            failure.journal = words.lines;
            if let Some(fault) = fault.filter(|_| words.is_unheard) {
                failure.reason = reason(&fault, exit.as_deref(), Some(Breach::Unheard));
            }
        }
        self.maybe_finish();
    }

    /// Whether a job of the rollout is under way for this worker.
    pub(super) fn is_at_hand(&self, instance: Instance) -> bool {
        self.rolling().is_some_and(|rollout| rollout.machine.is_at_hand(instance))
    }

    /// Whether this try is under way.
    pub(super) fn is_at_try(&self, instance: Instance, attempt: Attempt) -> bool {
        self.rolling().is_some_and(|rollout| rollout.is_at_try(instance, attempt))
    }

    /// Whether the rollout handles or observes this worker, so that nothing else starts or stops it.
    pub(super) fn is_rolled(&self, instance: Instance) -> bool {
        let Some(rollout) = self.rolling() else { return false };
        let is_rolled =
            |step: &Step| step.is_under_way() || step.is_surge() || step.state() == StepState::Marked;
        rollout.machine.step(instance).is_some_and(is_rolled)
    }

    /// Whether this worker is part of the rollout.
    pub(super) fn has_part(&self, instance: Instance) -> bool {
        self.rolling().is_some_and(|rollout| rollout.machine.step(instance).is_some())
    }
}

fn reason(fault: &Fault, exit: Option<&str>, breach: Option<Breach>) -> String {
    match (exit, breach) {
        (Some(exit), Some(breach)) => format!("{fault}: it {exit}; {breach}"),
        (Some(exit), None) => format!("{fault}: it {exit}"),
        (None, _) => fault.to_string(),
    }
}

/// Whether the exit of the process explains this fault.
fn is_of_the_process(fault: &Fault) -> bool {
    match fault {
        Fault::Job(result) => matches!(result, JobResult::Failed | JobResult::Timeout),
        Fault::NotActive(_) | Fault::Unsettled | Fault::Crashed => true,
        Fault::Refused(_) | Fault::SameProcess | Fault::Numbers(_) | Fault::TooLong => false,
    }
}
