//! Carrying out a rollout. What happens next is the machine's decision; here it is done, recorded and told.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use rollout::{Action, Event, Fault, Instance, JobResult, Outcome, StepState};

use super::tell::log_end;
use super::{Driver, Input, Job, LOOK_AFTER, Phase, Timer};
use crate::journal;
use crate::manager::EnqueueError;
use crate::running::{LastWords, Running};

impl Driver {
    /// Begins a rollout, or has one follow the one that runs; returns its id.
    pub(super) async fn request_rollout(&mut self) -> Result<u64, api::Error> {
        match self.phase {
            Phase::Stopping | Phase::Ended => {
                return Err(api::Error::ShuttingDown("the cluster is being stopped".to_owned()));
            }
            Phase::Starting => {
                return Err(api::Error::Refused("the cluster is still being started; try again".to_owned()));
            }
            Phase::Running => {}
        }
        if self.rolling.is_some() {
            // Whoever asks now wants what is there now to be running everywhere, which the rollout under way
            // does not promise: some workers have been replaced already. One more does, for all who ask.
            let id = self.queued.unwrap_or_else(|| self.new_id());
            self.queued = Some(id);
            tracing::info!(rollout = id, "a rollout is under way; rollout {id} follows it");
            return Ok(id);
        }
        let id = self.new_id();
        self.begin_rollout(id).await?;
        Ok(id)
    }

    /// Milliseconds since the epoch, and never the same twice.
    fn new_id(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last_id = millis.max(self.last_id + 1);
        self.last_id
    }

    /// Hands an event to the machine and does what it says.
    pub(super) async fn roll_on(&mut self, event: Event) {
        let Some(running) = &mut self.rolling else { return };
        let actions = running.machine.handle(event);
        self.perform(actions).await;
    }

    pub(super) async fn perform(&mut self, actions: Vec<Action>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            self.log_step_before(&action);
            match action {
                Action::Restart(instance) => {
                    if let Some(event) = self.restart(instance).await {
                        let more = self.rolling.as_mut().map(|running| running.machine.handle(event));
                        actions.extend(more.unwrap_or_default());
                    }
                }
                Action::Settle(instance, settle) => {
                    let rollout = self.rolling.as_ref().map_or(0, |running| running.record.id);
                    self.after(settle, Timer::Settled { rollout, instance });
                }
                Action::RestoreRelease => self.restore_release(),
                Action::Finish(outcome) => {
                    if let Some(running) = &mut self.rolling {
                        running.outcome = Some(outcome);
                    }
                }
                Action::Ignore(why) => tracing::debug!("ignored: {why}"),
            }
        }
        self.ask_for_last_words();
        self.publish().await;
        self.maybe_finished().await;
    }

    /// Enqueues a worker's restart. What systemd says at once is returned as an event.
    async fn restart(&mut self, instance: Instance) -> Option<Event> {
        if let Some(running) = &mut self.rolling
            && running.machine.fault().is_none()
        {
            running.step_began = SystemTime::now();
            if let Some(worker) = self.cluster.workers.get_mut(&instance) {
                worker.last_exit = None;
            }
        }
        self.publish().await;
        self.after(LOOK_AFTER, Timer::Look(instance));
        let (_, manager) = self.bus.as_ref()?;
        match manager.restart(instance).await {
            Ok(job) => {
                self.jobs.insert(job, Job { instance, seems_over: false });
                None
            }
            Err(EnqueueError::Refused(reason)) => Some(Event::JobRefused { instance, reason }),
            Err(EnqueueError::Unreachable(reason)) => {
                tracing::warn!(worker = %instance, "no answer to the restart of {instance}: {reason}; looking again");
                None
            }
        }
    }

    /// The settle time is over.
    pub(super) async fn settled(&mut self, rollout: u64, instance: Instance) {
        if self.rolling.as_ref().is_none_or(|running| running.record.id != rollout) {
            return;
        }
        self.inspect(instance).await;
        let Some(worker) = self.cluster.workers.get(&instance) else {
            return;
        };
        let unit = worker.info.unit();
        self.roll_on(Event::Settled { instance, unit }).await;
    }

    /// As soon as a worker has failed: what it said last, before others say more.
    fn ask_for_last_words(&mut self) {
        let Some(running) = &mut self.rolling else { return };
        let (LastWords::NotNeeded, Some((instance, fault))) = (&running.last_words, running.machine.fault())
        else {
            return;
        };
        let (instance, fault) = (*instance, fault.clone());
        let worker = self.cluster.workers.get(&instance).filter(|_| is_of_the_process(&fault));
        let exit = worker.and_then(|worker| worker.last_exit.as_deref());
        running.note_failure(&self.cluster.names, instance, &fault, exit);
        running.last_words = LastWords::Awaited;
        let (rollout, since) = (running.record.id, running.step_began);
        let (inputs, unit) = (self.inputs.clone(), self.cluster.names.unit(instance));
        tokio::spawn(async move {
            let lines = journal::last_lines(&unit, since).await;
            let _ = inputs.send(Input::LastWords { rollout, lines });
        });
    }

    pub(super) async fn heard_last_words(&mut self, rollout: u64, lines: Vec<String>) {
        let Some(running) = self.rolling.as_mut().filter(|running| running.record.id == rollout) else {
            return;
        };
        running.last_words = LastWords::Known;
        if let Some(failure) = running.record.failure.first_mut() {
            failure.journal = lines;
        }
        self.maybe_finished().await;
    }

    /// Somebody wants the rollout to end after the worker it is at.
    pub(super) async fn abort_rollout(&mut self) {
        if let Some(running) = &self.rolling {
            tracing::info!(rollout = running.record.id, "asked to stop after the worker at hand");
        }
        self.queued = None;
        self.roll_on(Event::AbortRequested).await;
    }

    /// The orchestrator ends: systemd finishes the job that runs, and nothing more begins.
    pub(super) async fn give_up_rollout(&mut self) {
        self.queued = None;
        if let Some(running) = &mut self.rolling {
            running.outcome = Some(Outcome::Aborted);
            running.last_words = LastWords::Known;
        }
        self.maybe_finished().await;
    }

    async fn maybe_finished(&mut self) {
        let is_waiting =
            |running: &Running| running.outcome.is_none() || matches!(running.last_words, LastWords::Awaited);
        if self.rolling.as_ref().is_none_or(is_waiting) {
            return;
        }
        let Some(mut running) = self.rolling.take() else {
            return;
        };
        let Some(outcome) = running.outcome.clone() else {
            return;
        };
        running.refresh();
        running.conclude(&outcome, &self.cluster.stragglers());
        self.keep_books(&running, &outcome);
        log_end(&running.record);
        self.last_rollout = Some(running.record.clone());
        self.announce(running.record).await;
        if self.phase == Phase::Running {
            self.correct().await;
            self.begin_queued().await;
        }
    }

    pub(super) fn is_at_hand(&self, instance: Instance) -> bool {
        self.rolling.as_ref().is_some_and(|running| running.machine.restarting() == Some(instance))
    }

    pub(super) fn is_settling(&self, instance: Instance) -> bool {
        let is = |step: &rollout::Step| step.instance == instance && step.state == StepState::Settling;
        self.rolling.as_ref().is_some_and(|running| running.machine.steps().iter().any(is))
    }
}

/// Whether how the process ended explains this fault.
fn is_of_the_process(fault: &Fault) -> bool {
    match fault {
        Fault::Job(result) => matches!(result, JobResult::Failed | JobResult::Timeout),
        Fault::NotActive(_) | Fault::Unsettled => true,
        Fault::Refused(_) | Fault::SameProcess => false,
    }
}
