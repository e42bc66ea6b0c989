//! The orchestrator: keeps the wanted number of workers running and replaces them one after another.
//!
//! It is on no path that matters. The workers and their socket belong to systemd; when this process dies they
//! go on serving, and the next one learns everything it needs from systemd and two small files.

mod board;
mod breach;
mod cluster;
mod disk;
mod driver;
mod fault;
mod history;
mod jobs;
mod journal;
mod ledger;
mod listeners;
mod log;
mod manager;
mod names;
mod orders;
mod releases;
mod running;
mod service;
mod shared_read;
mod snapshot;
mod stage;
mod unit_info;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use driver::{Driver, Input};

/// sysexits.h: the configuration has to be corrected first; the unit does not restart us for it.
const EX_CONFIG: u8 = 78;
const INVALID_CONFIGURATION: &str = "invalid configuration, not starting; workers that run go on serving";

/// A connection that waits in the socket's queue makes systemd start us again at once, and the limits that would
/// end that are off, for they would close the socket. So a cluster that cannot start must not fail fast.
const PAUSE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    match runtime() {
        Ok(runtime) => runtime.block_on(orchestrate()),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "failed to set up the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread decides. Others read disks, few at once, and end when they have done it: at rest nothing wakes up.
fn runtime() -> std::io::Result<Runtime> {
    const AT_ONCE: usize = 8;
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(AT_ONCE)
        .thread_keep_alive(Duration::ZERO)
        .build()
}

async fn orchestrate() -> ExitCode {
    let _log = match log::install() {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "failed to start a thread for the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    // From now on, so that a stop is not missed that comes while the start fails.
    let stop = signal(SignalKind::terminate());
    let (what, status) = match config::load(Path::new("/")) {
        Err(problems) => (format!("{INVALID_CONFIGURATION}\n{problems}"), ExitCode::from(EX_CONFIG)),
        Ok(settings) => match run(settings).await {
            Err(error) => (format!("{error:#}"), ExitCode::FAILURE),
            Ok(()) => return ExitCode::SUCCESS,
        },
    };
    tracing::error!("{what}");
    let _ = sd_notify::notify(&[NotifyState::Status(&what.replace('\n', "; "))]);
    let is_stopped = async { Some(stop.ok()?.recv().await) };
    match tokio::time::timeout(PAUSE, is_stopped).await {
        Ok(Some(_)) => ExitCode::SUCCESS,
        _ => status,
    }
}

async fn run(settings: config::Settings) -> anyhow::Result<()> {
    let listeners = listeners::Listeners::inherited();
    let (inputs, queue) = unbounded_channel();
    tokio::spawn(forward(signal(SignalKind::terminate())?, inputs.clone(), || Input::StopRequested));
    for kind in [SignalKind::hangup(), SignalKind::user_defined2()] {
        tokio::spawn(forward(signal(kind)?, inputs.clone(), || Input::RollRequested));
    }
    Driver::new(names::Names::packaged(), settings, listeners, inputs).run(queue).await
}

async fn forward(mut signal: Signal, inputs: UnboundedSender<Input>, input: fn() -> Input) {
    while signal.recv().await.is_some() && inputs.send(input()).is_ok() {}
}
