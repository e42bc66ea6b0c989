//! Turns the world into events and decisions into the world.
//!
//! Everything that happens arrives in one queue as an [`Input`] and is dealt with in turn by one task, in an order that the log
//! tells. Beside it releases are made, one at a time, and readers are answered.

mod adopt;
mod ask;
mod bus;
mod compare;
mod finish;
mod flap;
mod observe;
mod prepare;
mod recycle;
mod resume;
mod roll;
mod show;
mod stop;
mod tell;

use std::time::Duration;

use rollout::keep::Correction;
use rollout::{Attempt, Instance, JobResult};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::history::{self, History};
use crate::jobs::{Ended, Jobs};
use crate::ledger::Ledger;
use crate::listeners::Listeners;
use crate::manager::{EnqueueError, Manager, Signal};
use crate::names::Names;
use crate::orders::Queue;
use crate::releases::Releases;
use crate::running::Running;
use crate::service::{self, Request};
use crate::snapshot::Snapshot;
use crate::stage::Stage;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A call over D-Bus.
    Request(Request),
    /// systemd told something.
    Signal(Signal),
    /// The bus is there (again).
    Connected(zbus::Connection, Manager),
    /// A time is over.
    Timer(Timer),
    /// What the failed worker of this rollout said last, and why it failed if the journal knows that better.
    LastWords { rollout: u64, lines: Vec<String>, reason: Option<String> },
    /// SIGHUP or SIGUSR2.
    RollRequested,
    /// SIGTERM.
    StopRequested,
}

impl From<Signal> for Input {
    fn from(signal: Signal) -> Self {
        Self::Signal(signal)
    }
}

/// A time that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Timer {
    /// The settle time of this worker in this rollout.
    Settled { rollout: u64, instance: Instance },
    /// The time for replacing this worker.
    StepDeadline { rollout: u64, instance: Instance, attempt: Attempt },
    /// The time for this rollout.
    Deadline { rollout: u64 },
    /// The pause before a worker that ended by itself is started again.
    Start(Instance),
    /// A stop was not answered.
    Stop(Instance),
    /// A worker that flapped may have been ready for long enough.
    Stable(Instance),
    /// A rollout waits for some worker to serve again.
    LookAtAll,
    /// A job has been under way for a while; its end may have been missed.
    Look(Instance),
    /// Workers that ask to be replaced may be again.
    Recycle,
}

/// How long a job may be under way before somebody looks whether its end was missed.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What the orchestrator is in the middle of.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// The workers are being started; READY=1 has not been said.
    Starting,
    /// READY=1 has been said.
    Running,
    /// The workers are being stopped; then the orchestrator ends.
    Stopping,
    /// Over.
    Ended,
}

/// The orchestrator.
#[derive(Debug)]
pub(crate) struct Driver {
    phase: Phase,
    /// Of the package that was installed when the orchestrator was started.
    version: String,
    settings: config::Settings,
    cluster: Cluster,
    releases: Releases,
    stage: Stage,
    history: History,
    bus: Option<(zbus::Connection, Manager)>,
    listeners: Listeners,
    /// The addresses that the socket unit names and systemd does not listen on.
    unlistened: Vec<String>,
    jobs: Jobs,
    rolling: Option<Running>,
    /// What a predecessor had begun and we go on with, once all workers that should run do.
    unfinished: Option<history::Entry>,
    last_rollout: Option<api::Rollout>,
    /// Rollouts asked for while another was under way.
    queue: Queue,
    /// Settings that were read while a rollout was under way; they hold from its end.
    deferred: Option<config::Settings>,
    /// Why the last rollout that somebody asked for did not begin.
    refused: Option<String>,
    watch: Option<flap::Watch>,
    recycling: recycle::Recycling,
    is_looking_at_all: bool,
    last_id: u64,
    told: service::Properties,
    snapshots: watch::Sender<Snapshot>,
    inputs: UnboundedSender<Input>,
}

impl Driver {
    pub(crate) fn new(
        names: Names,
        settings: config::Settings,
        listeners: Listeners,
        inputs: UnboundedSender<Input>,
    ) -> Self {
        let cluster = Cluster {
            desired: wanted(&settings),
            workers: Default::default(),
            ledger: Ledger::open(names.runtime_dir.join("ledger")),
            release: None,
            names: names.clone(),
        };
        let history = History::open(names.state_dir.join("history"));
        let releases = Releases::new(names.state_dir, names.packaged);
        Self {
            phase: Phase::Starting,
            version: version(&releases),
            settings,
            cluster,
            stage: Stage::new(releases.clone()),
            releases,
            history,
            bus: None,
            listeners,
            unlistened: Vec::new(),
            jobs: Jobs::default(),
            rolling: None,
            unfinished: None,
            last_rollout: None,
            queue: Queue::default(),
            deferred: None,
            refused: None,
            watch: None,
            recycling: recycle::Recycling::default(),
            is_looking_at_all: false,
            last_id: 0,
            told: service::Properties::default(),
            snapshots: watch::Sender::default(),
            inputs,
        }
    }

    /// Works until somebody stops the orchestrator.
    pub(crate) async fn run(mut self, queue: UnboundedReceiver<Input>) -> anyhow::Result<()> {
        let ended = self.work(queue).await;
        if ended.is_err() {
            self.leave_bus().await;
        }
        ended
    }

    async fn work(&mut self, mut queue: UnboundedReceiver<Input>) -> anyhow::Result<()> {
        self.update_snapshot();
        self.connect();
        while let Some(input) = queue.recv().await {
            self.handle(input).await?;
            if self.phase == Phase::Ended {
                break;
            }
            self.maybe_recycle().await;
            self.tell().await;
        }
        Ok(())
    }

    async fn handle(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Request(request) => self.request(request).await,
            Input::Signal(Signal::Changed { instance, properties, at }) => {
                self.changed(instance, properties, at).await
            }
            Input::Signal(Signal::JobRemoved { job, result }) => self.job_removed(&job, result).await,
            Input::Signal(Signal::Reexecuted) => self.look_again("systemd was executed anew").await,
            Input::Signal(Signal::Reloaded) => self.look_at_socket().await,
            Input::Signal(Signal::Disconnected) => self.disconnected(),
            Input::Connected(connection, manager) => self.connected(connection, manager).await?,
            Input::Timer(Timer::Settled { rollout, instance }) => self.settled(rollout, instance).await,
            Input::Timer(Timer::StepDeadline { rollout, instance, attempt }) => {
                self.step_deadline(rollout, instance, attempt).await;
            }
            Input::Timer(Timer::Deadline { rollout }) => self.rollout_deadline_passed(rollout).await,
            Input::Timer(Timer::Start(instance)) => self.start_if_wanted(instance).await,
            Input::Timer(Timer::Stop(instance)) => self.stop_if_unwanted(instance).await,
            Input::Timer(Timer::Stable(instance)) => self.maybe_forgive(instance),
            Input::Timer(Timer::Look(instance)) => self.look_if_awaited(instance).await,
            Input::Timer(Timer::LookAtAll) => self.look_at_all().await,
            // After every input somebody looks whether a worker asks.
            Input::Timer(Timer::Recycle) => {}
            Input::LastWords { rollout, lines, reason } => {
                self.heard_last_words(rollout, lines, reason).await
            }
            Input::RollRequested => self.roll_requested().await,
            Input::StopRequested => self.stop_requested().await,
        }
        Ok(())
    }

    /// Starts and stops what the wanted number of workers asks for. What a rollout is about is its own business.
    async fn correct(&mut self) {
        self.know_wanted().await;
        for correction in self.cluster.corrections() {
            self.make(correction).await;
        }
    }

    async fn make(&mut self, correction: Correction) {
        match correction {
            Correction::Start(instance) if !self.is_rolled(instance) => self.start(instance).await,
            Correction::Stop(instance) if self.rolling.is_none() && self.unfinished.is_none() => {
                self.stop_worker(instance).await;
            }
            Correction::Start(_) | Correction::Stop(_) => {}
        }
    }

    /// Starts a worker, or starts it anew.
    async fn start(&mut self, instance: Instance) {
        let Some((_, manager)) = &self.bus else { return };
        let job = manager.restart(instance).await;
        self.enqueued(instance, false, job);
    }

    async fn stop_worker(&mut self, instance: Instance) {
        let Some((_, manager)) = &self.bus else { return };
        let job = manager.stop(instance).await;
        self.enqueued(instance, true, job);
    }

    fn enqueued(&mut self, instance: Instance, is_stop: bool, job: Result<String, EnqueueError>) {
        let what = if is_stop { "stop" } else { "start" };
        match job {
            Ok(job) => {
                self.jobs.track(job, instance, is_stop);
                self.after(LOOK_AFTER, Timer::Look(instance));
            }
            Err(EnqueueError::Refused(reason)) => {
                tracing::error!(worker = %instance, "failed to {what} {instance}: {reason}");
            }
            Err(EnqueueError::Unreachable(reason)) => {
                tracing::warn!(worker = %instance, "failed to {what} {instance}: {reason}; trying again");
                let again = if is_stop { Timer::Stop(instance) } else { Timer::Start(instance) };
                self.after(LOOK_AFTER, again);
            }
        }
    }

    async fn job_removed(&mut self, job: &str, result: JobResult) {
        match self.jobs.end(job) {
            Ended::Awaited(job) => self.job_finished(job.instance, job.is_stop, result).await,
            Ended::Outdated => {}
            Ended::Foreign => self.foreign_job_removed(job).await,
        }
    }

    /// Sends this timer to ourselves later.
    fn after(&self, pause: Duration, timer: Timer) {
        tokio::spawn(ring(self.inputs.clone(), pause, timer));
    }

    /// The same, unless the rollout is over by then: nobody is to be woken for it.
    fn after_in_rollout(&mut self, pause: Duration, timer: Timer) {
        if let Some(running) = &mut self.rolling {
            running.later(ring(self.inputs.clone(), pause, timer));
        }
    }
}

async fn ring(inputs: UnboundedSender<Input>, pause: Duration, timer: Timer) {
    tokio::time::sleep(pause).await;
    // Nobody listens any more when the orchestrator ends.
    let _ = inputs.send(Input::Timer(timer));
}

/// The version of the package, or that of the source for an orchestrator that no package brought.
fn version(releases: &Releases) -> String {
    releases.packaged_version().map_or_else(
        |error| {
            tracing::debug!("{error:#}; the version is that of the source");
            env!("CARGO_PKG_VERSION").to_owned()
        },
        |version| version.to_string(),
    )
}

/// Reads a valid configuration; an invalid one changes nothing.
fn load_settings() -> Result<config::Settings, api::Error> {
    config::load(std::path::Path::new("/")).map_err(|error| api::Error::Configuration(error.to_string()))
}

/// How many workers the settings ask for.
fn wanted(settings: &config::Settings) -> u32 {
    let most = config::Count::MAX - settings.rollout.surge.min(config::Count::MAX - 1);
    match settings.workers {
        config::Workers::Count(count) => count.get(),
        // What the affinity and the CPU quota of this unit leave.
        config::Workers::Auto => {
            let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
            u32::try_from(cpus).unwrap_or(most).min(most)
        }
    }
}

/// Tells systemd, if systemd started us.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("failed to notify systemd, going on without: {error}");
    }
}
