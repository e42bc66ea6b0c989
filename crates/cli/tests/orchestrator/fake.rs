//! An orchestrator that follows the script of a test.

mod first;
mod today;
mod tomorrow;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use api::{
    Counters, Entry, EntryState, Kind, Options, Release, Rollout, RolloutState, Status, Step, StepState,
    Worker, WorkerState,
};
use tokio::runtime::Runtime;
use zbus::connection::Builder;
use zbus::object_server::SignalEmitter;

use self::first::First;
use self::today::Today;
use self::tomorrow::Tomorrow;
use crate::bus::Bus;

/// What the orchestrator says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// The signals that follow one another after a call that begins or resumes a rollout.
    pub(crate) story: Vec<Rollout>,
    /// A refusal of every call that changes something.
    pub(crate) refusal: Option<fn(String) -> api::Error>,
    /// What `Status` says of the rollout.
    pub(crate) last: Vec<Rollout>,
    /// What `Status` says of the workers; if empty, one worker is ready.
    pub(crate) workers: Vec<Worker>,
    /// What it says of them after a `Reconfigure`, one answer after another.
    pub(crate) scaled: Vec<Vec<Worker>>,
    /// What `Counters` says.
    pub(crate) counters: Vec<Counters>,
    /// What `Releases` says.
    pub(crate) releases: Vec<Release>,
    /// What `History` says.
    pub(crate) history: Vec<Entry>,
    /// What follows an `Abort`.
    pub(crate) aborted: Option<Rollout>,
}

/// What an orchestrator does, in every version of the interface.
pub(crate) struct Fake {
    script: Script,
    calls: Arc<Mutex<Vec<String>>>,
    /// The number of status calls since a `Reconfigure`.
    looks: Mutex<Option<usize>>,
}

impl Fake {
    fn record(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn permit(&self) -> Result<(), api::Error> {
        self.script.refusal.map_or(Ok(()), |refusal| Err(refusal("for a reason".to_owned())))
    }

    fn look(&self) -> Status {
        let mut status = status(self.script.last.clone());
        if !self.script.workers.is_empty() {
            status.workers = self.script.workers.clone();
        }
        if let Some(looks) = self.looks.lock().unwrap().as_mut() {
            let last = self.script.scaled.len().checked_sub(1);
            status.desired = last.map_or(status.desired, |_| 6);
            status.workers = last.map_or(status.workers, |last| self.script.scaled[last.min(*looks)].clone());
            *looks += 1;
        }
        status
    }

    /// Obeys a call, which begins the story.
    fn begin(&self, call: String) -> Result<&[Rollout], api::Error> {
        self.permit()?;
        self.record(call);
        Ok(&self.script.story)
    }

    fn reload(&self, by: &str) -> Result<&[Rollout], api::Error> {
        self.begin(format!("Reload by {by}"))
    }

    fn deploy(&self, file: &zbus::Fd<'_>, options: &Options) -> Result<&[Rollout], api::Error> {
        let mut program = String::new();
        let file = file.as_fd().try_clone_to_owned();
        File::from(file.unwrap()).read_to_string(&mut program).unwrap();
        self.begin(format!("Deploy {program:?} as {}", Wished(options)))
    }

    fn deploy_directory(&self, path: &str, options: &Options) -> Result<&[Rollout], api::Error> {
        self.begin(format!("DeployDirectory {path} as {}", Wished(options)))
    }

    fn roll_back(&self, id: &str, by: &str) -> Result<&[Rollout], api::Error> {
        self.begin(format!("Rollback to {id:?} by {by}"))
    }

    fn pause(&self) -> Result<(), api::Error> {
        self.permit()?;
        self.record("Pause".to_owned());
        Ok(())
    }

    fn abort(&self, rollout: u64) -> Result<Option<&Rollout>, api::Error> {
        self.permit()?;
        self.record(format!("Abort {rollout}"));
        Ok(self.script.aborted.as_ref())
    }

    fn reconfigure(&self) -> Result<u32, api::Error> {
        self.permit()?;
        *self.looks.lock().unwrap() = Some(0);
        Ok(6)
    }
}

/// The options of a deployment.
struct Wished<'a>(&'a Options);

impl fmt::Display for Wished<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { id, canary, by } = self.0;
        write!(f, "{id:?}, canary {canary}, by {by}")
    }
}

fn each<T: Clone + Into<U>, U>(items: &[T]) -> Vec<U> {
    items.iter().cloned().map(Into::into).collect()
}

/// An orchestrator on the bus. It leaves when this is dropped.
pub(crate) struct Orchestrator {
    runtime: Runtime,
    connection: zbus::Connection,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Orchestrator {
    /// An orchestrator of the current version.
    pub(crate) fn start(bus: &Bus, script: Script) -> Self {
        Self::with(bus, script, |builder, fake| builder.serve_at(api::PATH, Today(fake)))
    }

    /// An orchestrator of 1.0.0, which does not know the dictionaries.
    pub(crate) fn start_first(bus: &Bus, script: Script) -> Self {
        Self::with(bus, script, |builder, fake| builder.serve_at(api::PATH, First(fake)))
    }

    /// An orchestrator of a future version.
    pub(crate) fn start_tomorrow(bus: &Bus, script: Script) -> Self {
        Self::with(bus, script, |builder, fake| builder.serve_at(api::PATH, Tomorrow(fake)))
    }

    fn with(bus: &Bus, script: Script, serve: impl FnOnce(Builder<'_>, Fake) -> Builder<'_>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let fake = Fake { script, calls: calls.clone(), looks: Mutex::new(None) };
        let connection = runtime.block_on(async {
            let builder = Builder::address(bus.address.as_str());
            serve(builder, fake).name(api::BUS_NAME).build().await.unwrap()
        });
        Self { runtime, connection, calls }
    }

    /// The calls that it has obeyed.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Announces that a rollout changed.
    pub(crate) fn announce(&self, rollout: Rollout) {
        let emitter = SignalEmitter::new(&self.connection, api::PATH).unwrap();
        self.runtime.block_on(today::announce(&emitter, &rollout)).unwrap();
    }

    /// The description of its interface, as for `busctl introspect`.
    pub(crate) fn introspected(&self) -> String {
        self.runtime.block_on(async {
            let proxy = zbus::fdo::IntrospectableProxy::builder(&self.connection);
            let proxy = proxy.destination(api::BUS_NAME).path(api::PATH).build().await;
            proxy.unwrap().introspect().await.unwrap()
        })
    }
}

/// The id of every rollout.
pub(crate) const ID: u64 = 1_700_000_000_000;

pub(crate) fn rollout(state: RolloutState, steps: &[StepState]) -> Rollout {
    let step = |(instance, state): (u32, &StepState)| Step {
        instance,
        state: *state,
        is_surge: false,
        deadline_usec: 0,
    };
    Rollout {
        id: ID,
        kind: Kind::Reload,
        by: "alice".into(),
        state,
        from: "1.0".into(),
        to: "1.1".into(),
        steps: (1..).zip(steps).map(step).collect(),
        message: "how it is".into(),
        failure: vec![],
        step_timeout_usec: 70_000_000,
        deadline_usec: 0,
    }
}

/// The counters of the one worker, which has this process.
pub(crate) fn counters(pid: u32) -> Counters {
    Counters {
        instance: 1,
        pid,
        release: "1.0".into(),
        since_usec: 0,
        ready_since_usec: 0,
        drain_begun_usec: 0,
        accepts: 9,
        connections: 2,
        refused: 0,
        requests: 101,
        in_flight: 1,
        unanswered: 0,
        responses: api::Responses { successful: 95, server_error: 5, ..Default::default() },
        received_bytes: 0,
        sent_bytes: 0,
        panics: 0,
        timeouts: Default::default(),
        drained: Default::default(),
        latency: api::Latency { p50_usec: 1250, p99_usec: 14_000, p999_usec: 20_000, ..Default::default() },
    }
}

/// The entry of the history for the same rollout.
pub(crate) fn entry(state: EntryState) -> Entry {
    Entry {
        rollout: ID,
        kind: Kind::Reload,
        by: "alice".into(),
        from: "1.0".into(),
        to: "1.1".into(),
        begun_usec: ID * 1000,
        ended_usec: ID * 1000 + 3_000_000,
        state,
        failure: String::new(),
    }
}

/// A worker in this state.
pub(crate) fn worker(instance: u32, state: WorkerState) -> Worker {
    Worker {
        instance,
        unit: format!("worker@{instance}.service"),
        state,
        sub_state: "running".into(),
        pid: 0,
        release: "1.0".into(),
        ready_since_usec: 0,
        restarts: 0,
        next_try_usec: 0,
        last_exit: String::new(),
    }
}

fn status(rollout: Vec<Rollout>) -> Status {
    Status {
        cluster: "app-cluster".into(),
        version: "1.0".into(),
        summary: "1 of 4 ready, release 1.0".into(),
        release: "1.0".into(),
        desired: 4,
        ready: 1,
        workers: vec![worker(1, WorkerState::Ready)],
        rollout,
    }
}
