//! The orchestrator keeps the wanted number of workers running, and replaces them one after another.
//!
//! No request passes through it. The workers and their socket belong to systemd. If this process dies, the
//! workers keep serving. The next orchestrator learns everything that it needs from systemd and a few small
//! files.
//!
//! The crate `cluster` decides what to do, and knows no clock, no bus and no disk. This program performs the
//! decisions:
//!
//! - [`runtime`]: the main loop, which passes inputs to the cluster and performs its effects.
//! - [`manager`]: systemd over D-Bus.
//! - [`service`]: the interface `org.appcluster1`. [`snapshot`] answers the calls that only read.
//! - [`storage`]: history, ledger, links and releases on disk. [`releases`] and [`stage`] create and remove
//!   releases.
//! - [`journal`], [`board`], [`listeners`]: the last lines of a worker, the figures of workers, the addresses
//!   that systemd listens on.

mod board;
mod clock;
mod disk;
mod fault;
mod journal;
mod listeners;
mod log;
mod manager;
mod printable;
mod releases;
mod runtime;
mod service;
mod shared_read;
mod snapshot;
mod stage;
mod storage;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cluster::input::Input;
use cluster::settings::Settings;
use names::Names;
use sd_notify::NotifyState;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::listeners::Listeners;
use crate::runtime::Runtime;

/// EX_CONFIG of sysexits.h: an operator has to correct the configuration, so systemd does not restart the
/// unit.
const EX_CONFIG: u8 = 78;
const INVALID_CONFIGURATION: &str =
    "the configuration is invalid, so the orchestrator does not start; running workers keep serving";

/// How long a failed start waits before it exits. If a connection waits in the socket's queue, systemd starts
/// the unit again at once. The limits that would end this loop are off, because they would close the socket.
/// So a cluster that cannot start must not fail fast.
const PAUSE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    match tokio_runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(orchestrate());
            // This does not wait for threads that still use the disk. They may take long, and can be cut off
            // at any moment.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "failed to set up the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread decides. A few others use the disk, and end when they are done, so nothing wakes up an idle
/// process.
fn tokio_runtime() -> std::io::Result<tokio::runtime::Runtime> {
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
    // This listens early, so that a stop during a failing start is not missed.
    let stop = signal(SignalKind::terminate());
    let (what, status) = match storage::load_settings() {
        Err(problems) => (format!("{INVALID_CONFIGURATION}\n{problems}"), ExitCode::from(EX_CONFIG)),
        Ok(settings) => match run(settings).await {
            Err(error) => (error, ExitCode::FAILURE),
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

async fn run(settings: Settings) -> Result<(), String> {
    let listeners = Listeners::inherited();
    let (inputs, queue) = unbounded_channel();
    let signals: [(SignalKind, fn() -> Input); 3] = [
        (SignalKind::terminate(), || Input::Terminate),
        (SignalKind::hangup(), || Input::ReloadSignal),
        (SignalKind::user_defined2(), || Input::ReloadSignal),
    ];
    for (kind, input) in signals {
        let signal = signal(kind).map_err(|error| format!("failed to listen to signals: {error}"))?;
        tokio::spawn(forward(signal, inputs.clone(), input));
    }
    Runtime::new(names(), settings, listeners, random(), inputs).run(queue).await
}

async fn forward(mut signal: Signal, inputs: UnboundedSender<Input>, input: fn() -> Input) {
    while signal.recv().await.is_some() && inputs.send(input()).is_ok() {}
}

/// The names, with the StateDirectory= and RuntimeDirectory= that systemd passes to a service
/// (systemd.exec(5)).
fn names() -> Names {
    let packaged = Names::packaged();
    let directory = |variable, otherwise| std::env::var_os(variable).map_or(otherwise, PathBuf::from);
    Names {
        state_dir: directory("STATE_DIRECTORY", packaged.state_dir.clone()),
        runtime_dir: directory("RUNTIME_DIRECTORY", packaged.runtime_dir.clone()),
        ..packaged
    }
}

/// A random number. It is 0 if the kernel has no entropy yet.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u64::from_ne_bytes(bytes)
}
