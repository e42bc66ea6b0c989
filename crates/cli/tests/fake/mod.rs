//! A bus of its own with an orchestrator on it that says what a test tells it to say.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::{Rollout, RolloutState, Status, Step, StepState, Worker, WorkerState};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zbus::object_server::SignalEmitter;

/// A private `dbus-daemon`, ended when dropped.
pub(crate) struct Bus {
    daemon: Child,
    pub(crate) address: String,
    pub(crate) dir: TempDir,
}

impl Bus {
    /// A bus on which everybody may do everything but what `denied` says, a list of `<deny …/>`.
    pub(crate) fn start(denied: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let listen = format!("unix:path={}", dir.path().join("bus").display());
        // That of the session bus, and what is denied.
        let policy = format!(
            "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>{denied}"
        );
        fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>{listen}</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\">{policy}</policy></busconfig>"
            ),
        )
        .unwrap();
        let complaints = dir.path().join("complaints");
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address", "--config-file"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints).unwrap())
            .spawn()
            .expect("dbus-daemon is needed, from the package dbus-daemon");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(!address.is_empty(), "dbus-daemon: {}", fs::read_to_string(complaints).unwrap());
        Self { daemon, address: address.trim().to_owned(), dir }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// What the orchestrator says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// The answer to `Reload`: signals that follow one another, or a refusal.
    pub(crate) reload: Vec<Rollout>,
    /// The refusal of `Reload` and `Reconfigure`.
    pub(crate) refusal: Option<fn(String) -> api::Error>,
    /// What `Status` says of the rollout.
    pub(crate) last: Vec<Rollout>,
    /// What follows an `Abort`.
    pub(crate) aborted: Option<Rollout>,
}

struct Fake {
    script: Script,
    aborts: Arc<AtomicUsize>,
}

#[zbus::interface(name = "org.appcluster1")]
impl Fake {
    async fn status(&self) -> Status {
        status(self.script.last.clone())
    }

    async fn reload(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> Result<u64, api::Error> {
        if let Some(refusal) = self.script.refusal {
            return Err(refusal("for a reason".to_owned()));
        }
        for rollout in &self.script.reload {
            Self::rollout_changed(&emitter, rollout.clone()).await?;
        }
        Ok(ID)
    }

    async fn reconfigure(&self) -> Result<u32, api::Error> {
        self.script.refusal.map_or(Ok(6), |refusal| Err(refusal("for a reason".to_owned())))
    }

    async fn abort(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) -> Result<(), api::Error> {
        self.aborts.fetch_add(1, Ordering::SeqCst);
        if let Some(rollout) = &self.script.aborted {
            Self::rollout_changed(&emitter, rollout.clone()).await?;
        }
        Ok(())
    }

    #[zbus(signal)]
    async fn rollout_changed(emitter: &SignalEmitter<'_>, rollout: Rollout) -> zbus::Result<()>;
}

/// An orchestrator that is on the bus until it is dropped.
pub(crate) struct Orchestrator {
    _runtime: Runtime,
    _connection: zbus::Connection,
    aborts: Arc<AtomicUsize>,
}

impl Orchestrator {
    pub(crate) fn start(bus: &Bus, script: Script) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let aborts = Arc::new(AtomicUsize::new(0));
        let fake = Fake { script, aborts: aborts.clone() };
        let connection = runtime.block_on(async {
            let builder = zbus::connection::Builder::address(bus.address.as_str());
            builder.serve_at(api::PATH, fake).name(api::BUS_NAME).build().await.unwrap()
        });
        Self { _runtime: runtime, _connection: connection, aborts }
    }

    /// How often `Abort` was called.
    pub(crate) fn aborts(&self) -> usize {
        self.aborts.load(Ordering::SeqCst)
    }
}

/// The id of every rollout.
pub(crate) const ID: u64 = 1_700_000_000_000;

pub(crate) fn rollout(state: RolloutState, steps: &[StepState]) -> Rollout {
    Rollout {
        id: ID,
        state,
        from: "1.0".into(),
        to: "1.1".into(),
        steps: (1..).zip(steps).map(|(instance, state)| Step { instance, state: *state }).collect(),
        message: "how it is".into(),
        failure: vec![],
        step_timeout_usec: 70_000_000,
    }
}

fn status(rollout: Vec<Rollout>) -> Status {
    let worker = Worker {
        instance: 1,
        unit: "worker@1.service".into(),
        state: WorkerState::Ready,
        sub_state: "running".into(),
        pid: 0,
        release: "1.0".into(),
        ready_since_usec: 0,
        restarts: 0,
        last_exit: String::new(),
    };
    Status {
        cluster: "app-cluster".into(),
        version: "1.0".into(),
        summary: "1 of 4 ready, release 1.0".into(),
        release: "1.0".into(),
        desired: 4,
        ready: 1,
        workers: vec![worker],
        rollout,
    }
}
