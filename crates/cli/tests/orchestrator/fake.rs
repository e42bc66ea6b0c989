//! An orchestrator that says what a test tells it to say.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use api::{
    Counters, Entry, EntryState, Kind, Release, Rollout, RolloutState, Status, Step, StepState, Worker,
    WorkerState,
};
use tokio::runtime::Runtime;
use zbus::object_server::SignalEmitter;

use crate::bus::Bus;

/// What the orchestrator says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// The answer to whatever begins or resumes a rollout: signals that follow one another.
    pub(crate) story: Vec<Rollout>,
    /// The answer to everything but a question: a refusal.
    pub(crate) refusal: Option<fn(String) -> api::Error>,
    /// What `Status` says of the rollout.
    pub(crate) last: Vec<Rollout>,
    /// What `Status` says of the workers, if it is not one that is ready.
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

/// The interface with its real members, which `docs/org.appcluster1.xml` describes.
pub(crate) struct Fake {
    script: Script,
    calls: Arc<Mutex<Vec<String>>>,
    /// How often `Status` was asked for since a `Reconfigure`.
    looks: Mutex<Option<usize>>,
}

impl Fake {
    fn record(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn permit(&self) -> Result<(), api::Error> {
        self.script.refusal.map_or(Ok(()), |refusal| Err(refusal("for a reason".to_owned())))
    }

    async fn begin(&self, call: String, emitter: &SignalEmitter<'_>) -> Result<u64, api::Error> {
        self.permit()?;
        self.record(call);
        for rollout in &self.script.story {
            Self::rollout_changed(emitter, rollout.clone()).await?;
        }
        Ok(ID)
    }
}

#[zbus::interface(name = "org.appcluster1")]
impl Fake {
    async fn status(&self) -> Result<(Status,), api::Error> {
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
        Ok((status,))
    }

    async fn counters(&self) -> Result<Vec<Counters>, api::Error> {
        Ok(self.script.counters.clone())
    }

    async fn releases(&self) -> Result<Vec<Release>, api::Error> {
        Ok(self.script.releases.clone())
    }

    async fn history(&self) -> Result<Vec<Entry>, api::Error> {
        Ok(self.script.history.clone())
    }

    async fn reload(
        &self,
        by: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        self.begin(format!("Reload by {by}"), &emitter).await
    }

    async fn deploy(
        &self,
        file: zbus::Fd<'_>,
        id: &str,
        canary: u32,
        by: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        let mut program = String::new();
        let file = file.as_fd().try_clone_to_owned();
        File::from(file.unwrap()).read_to_string(&mut program).unwrap();
        self.begin(format!("Deploy {program:?} as {id:?}, canary {canary}, by {by}"), &emitter).await
    }

    async fn deploy_directory(
        &self,
        path: &str,
        id: &str,
        canary: u32,
        by: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        self.begin(format!("DeployDirectory {path} as {id:?}, canary {canary}, by {by}"), &emitter).await
    }

    async fn rollback(
        &self,
        id: &str,
        by: &str,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<u64, api::Error> {
        self.begin(format!("Rollback to {id:?} by {by}"), &emitter).await
    }

    async fn pause(&self) -> Result<(), api::Error> {
        self.permit()?;
        self.record("Pause".to_owned());
        Ok(())
    }

    async fn resume(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> Result<(), api::Error> {
        self.begin("Resume".to_owned(), &emitter).await.map(drop)
    }

    async fn abort(
        &self,
        rollout: u64,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<(), api::Error> {
        self.permit()?;
        self.record(format!("Abort {rollout}"));
        if let Some(rollout) = &self.script.aborted {
            Self::rollout_changed(&emitter, rollout.clone()).await?;
        }
        Ok(())
    }

    async fn reconfigure(&self) -> Result<u32, api::Error> {
        self.permit()?;
        *self.looks.lock().unwrap() = Some(0);
        Ok(6)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn version(&self) -> String {
        "1.0".to_owned()
    }

    #[zbus(property)]
    async fn summary(&self) -> String {
        "1 of 4 ready, release 1.0".to_owned()
    }

    #[zbus(property)]
    async fn release(&self) -> String {
        "1.0".to_owned()
    }

    #[zbus(property)]
    async fn desired(&self) -> u32 {
        4
    }

    #[zbus(property)]
    async fn ready(&self) -> u32 {
        1
    }

    #[zbus(signal)]
    async fn rollout_changed(emitter: &SignalEmitter<'_>, rollout: Rollout) -> zbus::Result<()>;
}

/// An orchestrator that is on the bus until it is dropped.
pub(crate) struct Orchestrator {
    runtime: Runtime,
    connection: zbus::Connection,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Orchestrator {
    pub(crate) fn start(bus: &Bus, script: Script) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let fake = Fake { script, calls: calls.clone(), looks: Mutex::new(None) };
        let connection = runtime.block_on(async {
            let builder = zbus::connection::Builder::address(bus.address.as_str());
            builder.serve_at(api::PATH, fake).name(api::BUS_NAME).build().await.unwrap()
        });
        Self { runtime, connection, calls }
    }

    /// Which calls it has obeyed.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Announces that a rollout changed.
    pub(crate) fn announce(&self, rollout: Rollout) {
        let emitter = SignalEmitter::new(&self.connection, api::PATH).unwrap();
        self.runtime.block_on(Fake::rollout_changed(&emitter, rollout)).unwrap();
    }

    /// What it says of itself to `busctl introspect`.
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

/// What the one worker has counted, whose process this is.
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

/// What the history tells of the same rollout.
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
