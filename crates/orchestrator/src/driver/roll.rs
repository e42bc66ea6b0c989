//! Carrying out a rollout. What happens next is the machine's decision; here it is done, recorded and told.

use std::collections::VecDeque;
use std::time::Duration;

use rollout::{Action, Attempt, Cause, Event, Fault, Instance, JobResult, StepState};

use super::{Driver, Input, LOOK_AFTER, Timer};
use crate::breach::Breach;
use crate::fault;
use crate::history::State;
use crate::journal;
use crate::manager::EnqueueError;
use crate::running::{LastWords, Running};

impl Driver {
    /// Begins to carry out a rollout.
    pub(super) async fn run_machine(&mut self, running: Running, actions: Vec<Action>) {
        let (rollout, left) = (running.record.id, running.time_left());
        self.rolling = Some(running);
        if let Some(left) = left {
            self.after_in_rollout(left, Timer::Deadline { rollout });
        }
        self.perform(actions).await;
    }

    /// Hands an event to the machine and does what it says.
    pub(super) async fn roll_on(&mut self, event: Event) {
        let Some(running) = &mut self.rolling else { return };
        let actions = running.machine.handle(event);
        self.perform(actions).await;
    }

    async fn perform(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Restart(instance, attempt) | Action::Stop(instance, attempt) => {
                    let is_stop = matches!(action, Action::Stop(..));
                    if let Some(event) = self.command(instance, attempt, is_stop).await {
                        let more = self.rolling.as_mut().map(|running| running.machine.handle(event));
                        actions.extend(more.unwrap_or_default());
                    }
                }
                Action::Settle(instance, settle) => {
                    fault::point("settling");
                    let rollout = self.rolling.as_ref().map_or(0, |running| running.record.id);
                    self.after_in_rollout(settle, Timer::Settled { rollout, instance });
                    self.begin_comparing(instance);
                }
                Action::TellUndecided(instance, why) => self.tell_undecided(instance, &why),
                Action::RestoreRelease => {
                    self.restore_release();
                    self.is_looking_at_all = true;
                    self.after(Duration::ZERO, Timer::LookAtAll);
                }
                Action::Finish(outcome) => {
                    if let Some(running) = &mut self.rolling {
                        running.outcome = Some(outcome);
                    }
                }
                Action::Ignore(why) => tracing::debug!("ignored: {why}"),
            }
        }
        self.ask_for_last_words();
        self.keep_time();
        self.publish().await;
        self.maybe_finished().await;
    }

    /// Enqueues a worker's restart or stop. What systemd says at once is returned as an event.
    async fn command(&mut self, instance: Instance, attempt: Attempt, is_stop: bool) -> Option<Event> {
        self.try_begins(instance, attempt);
        self.publish().await;
        self.after(LOOK_AFTER, Timer::Look(instance));
        let is_back = self.rolling.as_ref().is_some_and(|running| running.machine.is_restoring());
        fault::point(match (is_stop, is_back) {
            (true, _) => "before-stop",
            (false, false) => "before-restart",
            (false, true) => "before-restore",
        });
        let (_, manager) = self.bus.as_ref()?;
        let job = if is_stop { manager.stop(instance).await } else { manager.restart(instance).await };
        fault::point(match (is_stop, is_back) {
            (true, _) => "stop-enqueued",
            (false, false) => "restart-enqueued",
            (false, true) => "restore-enqueued",
        });
        match job {
            Ok(job) => {
                self.jobs.track(job, instance, is_stop);
                Some(Event::Enqueued(instance))
            }
            Err(EnqueueError::Refused(reason)) => Some(Event::JobRefused { instance, reason }),
            Err(EnqueueError::Unreachable(reason)) => {
                tracing::warn!(worker = %instance, "no answer to the job of {instance}: {reason}; looking again");
                None
            }
        }
    }

    /// A try has a deadline, and begins with a clean sheet.
    fn try_begins(&mut self, instance: Instance, attempt: Attempt) {
        let Some(running) = &mut self.rolling else { return };
        let rollout = running.record.id;
        let Some(step_timeout) = running.try_begins(instance, attempt) else { return };
        let is_forward = running.machine.cause().is_none();
        self.after_in_rollout(step_timeout, Timer::StepDeadline { rollout, instance, attempt });
        if let Some(worker) = self.cluster.workers.get_mut(&instance) {
            worker.backoff.forget();
            worker.next_try = None;
            if is_forward {
                worker.last_exit = None;
            }
        }
    }

    /// The settle time is over.
    pub(super) async fn settled(&mut self, rollout: u64, instance: Instance) {
        if !self.is_under_way(rollout) {
            return;
        }
        self.inspect(instance).await;
        fault::point("settled");
        let Some(worker) = self.cluster.workers.get(&instance) else { return };
        let unit = worker.info.unit();
        let compared = self.compared(instance);
        self.roll_on(Event::Settled { instance, unit, compared }).await;
        self.end_comparing(instance);
    }

    pub(super) async fn step_deadline(&mut self, rollout: u64, instance: Instance, attempt: Attempt) {
        if self.is_under_way(rollout) {
            self.roll_on(Event::StepDeadline { instance, attempt }).await;
        }
    }

    pub(super) async fn rollout_deadline_passed(&mut self, rollout: u64) {
        if self.is_under_way(rollout) && self.rolling.as_ref().is_some_and(Running::is_overdue) {
            self.roll_on(Event::Deadline).await;
        }
    }

    fn is_under_way(&self, rollout: u64) -> bool {
        self.rolling.as_ref().is_some_and(|running| running.record.id == rollout)
    }

    /// Lets the clock stand while the rollout waits for somebody, notes that in the history, and sees to it that
    /// a rollout that waits for a worker to serve again does not miss that.
    fn keep_time(&mut self) {
        let Some(running) = &mut self.rolling else { return };
        let (rollout, was_waiting) = (running.record.id, running.record.state == api::RolloutState::Paused);
        let is_waiting = running.machine.is_waiting();
        let is_stalled = running.is_stalled();
        if let Some(left) = running.mind_the_clock() {
            self.after_in_rollout(left, Timer::Deadline { rollout });
        }
        if is_waiting && !was_waiting {
            self.note_in_history(State::Paused, None);
        }
        if is_stalled && !std::mem::replace(&mut self.is_looking_at_all, true) {
            self.after(LOOK_AFTER, Timer::LookAtAll);
        }
    }

    /// Looks at every worker of a rollout that waits for one to serve again, or that has just turned back.
    pub(super) async fn look_at_all(&mut self) {
        self.is_looking_at_all = false;
        let needs_it = |running: &&Running| running.is_stalled() || running.machine.is_restoring();
        let Some(running) = self.rolling.as_ref().filter(needs_it) else { return };
        let instances: Vec<_> = running.machine.steps().iter().map(rollout::Step::instance).collect();
        for instance in instances {
            self.look(instance).await;
        }
    }

    /// As soon as a worker has failed: what it said last, before others say more.
    fn ask_for_last_words(&mut self) {
        let Some(running) = &mut self.rolling else { return };
        let (LastWords::NotNeeded, Some(Cause::Fault(instance, fault))) =
            (&running.last_words, running.machine.cause())
        else {
            return;
        };
        let (instance, fault) = (*instance, fault.clone());
        let worker = self.cluster.workers.get(&instance).filter(|_| is_of_the_process(&fault));
        let exit = worker.and_then(|worker| worker.last_exit.clone());
        let breach = worker.filter(|_| exit.is_some()).and_then(|worker| worker.breach);
        let reason = move |breach: Option<Breach>| match (&exit, breach) {
            (Some(exit), Some(breach)) => format!("{fault}: it {exit}; {breach}"),
            (Some(exit), None) => format!("{fault}: it {exit}"),
            (None, _) => fault.to_string(),
        };
        running.note_failure(&self.cluster.names, instance, reason(breach));
        running.last_words = LastWords::Awaited;
        let (rollout, since) = (running.record.id, running.speaks_since(instance));
        let (inputs, unit) = (self.inputs.clone(), self.cluster.names.unit(instance));
        tokio::spawn(async move {
            let lines = journal::last_lines(&unit, since).await;
            let is_unheard = breach == Some(Breach::NeverReady) && journal::is_unheard(&unit, since).await;
            let reason = is_unheard.then(|| reason(Some(Breach::Unheard)));
            let _ = inputs.send(Input::LastWords { rollout, lines, reason });
        });
    }

    pub(super) async fn heard_last_words(
        &mut self,
        rollout: u64,
        lines: Vec<String>,
        reason: Option<String>,
    ) {
        let Some(running) = self.rolling.as_mut().filter(|running| running.record.id == rollout) else {
            return;
        };
        running.last_words = LastWords::Known;
        if let Some(failure) = running.record.failure.first_mut() {
            failure.journal = lines;
            if let Some(reason) = reason {
                failure.reason = reason;
            }
        }
        self.maybe_finished().await;
    }

    async fn maybe_finished(&mut self) {
        let is_waiting =
            |running: &Running| running.outcome.is_none() || matches!(running.last_words, LastWords::Awaited);
        if self.rolling.as_ref().is_none_or(is_waiting) {
            return;
        }
        fault::point("ending");
        if let Some(running) = self.rolling.take() {
            Box::pin(self.finish(running)).await;
        }
    }

    /// Whether a job of the rollout's is under way for this worker.
    pub(super) fn is_at_hand(&self, instance: Instance) -> bool {
        self.rolling.as_ref().is_some_and(|running| running.machine.is_at_hand(instance))
    }

    /// Whether the rollout has this worker in hand or under observation: nobody else commands it.
    pub(super) fn is_rolled(&self, instance: Instance) -> bool {
        let step = self.rolling.as_ref().and_then(|running| running.machine.step(instance));
        step.is_some_and(|step| step.is_under_way() || step.is_surge() || step.state() == StepState::Marked)
    }

    /// Whether this worker has a part in the rollout.
    pub(super) fn has_part(&self, instance: Instance) -> bool {
        self.rolling.as_ref().is_some_and(|running| running.machine.step(instance).is_some())
    }
}

/// Whether how the process ended explains this fault.
fn is_of_the_process(fault: &Fault) -> bool {
    match fault {
        Fault::Job(result) => matches!(result, JobResult::Failed | JobResult::Timeout),
        Fault::NotActive(_) | Fault::Unsettled | Fault::Crashed => true,
        Fault::Refused(_) | Fault::SameProcess | Fault::Numbers(_) | Fault::TooLong => false,
    }
}
