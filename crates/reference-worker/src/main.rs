//! The reference worker: the program that the package installs and the tests use.

mod identity;
mod log;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use app_cluster_worker::{Error, Worker};
use clap::Parser;
use reference_worker::faults;
use reference_worker::settings::{self, Invalid, Settings};
use tokio::runtime::{Builder, Runtime};

use crate::identity::Identity;

/// Answers HTTP requests on the socket that systemd passes under the name "http".
///
/// GET / names the worker. GET /healthz answers 200. GET /sleep?ms=N answers after N milliseconds, at most
/// 60000. POST /echo answers with the body. GET /poll answers when the worker drains, GET /events sends the
/// time as server-sent events, and /ws is a WebSocket that sends back each message.
#[derive(Debug, Parser)]
#[command(version = identity::VERSION, after_help = settings::HELP)]
struct Arguments {
    /// For development only: without systemd, serve on this address
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            // If this fails, there is no place to report it.
            let _ = told.print();
            return if told.use_stderr() { exit::CONFIG.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments.listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::fatal(&error);
            exit::code(&error)
        }
    }
}

fn run(listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let settings = Settings::from_environment()?;
    let identity = Identity::new(settings.instance);
    let _log = log::install(&identity).context("failed to start a thread for the log")?;
    tracing::info!("starting {identity}");

    let runtime = runtime(settings.threads).context("failed to set up the runtime")?;
    runtime.block_on(async {
        faults::start(settings.start_fault).await?;
        let mut worker =
            Worker::new().accept(settings.accept).linger(settings.linger).drain_timeout(settings.drain);
        if let Some(address) = listen {
            worker = worker.listen(address);
        }
        worker = settings.recycle(worker);
        let mut router = routes::router(&identity, worker.drain())?;
        if settings.faults {
            tracing::warn!("faults are on (APP_CLUSTER_FAULTS=1), every client can end this worker");
            router = router.merge(faults::router());
        }
        Ok(worker.serve(settings.answer_faults.spoil(router)).await?)
    })
}

/// One thread by default. There are as many workers as CPUs, like the processes of a Node cluster. If the
/// serving thread hangs, the watchdog is not fed.
fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

/// The exit statuses and their meaning for systemd.
mod exit {
    use super::{Error, ExitCode, Invalid};

    /// `EX_CONFIG`, which `RestartPreventExitStatus=78` in the unit understands: do not restart.
    pub(crate) const CONFIG: u8 = 78;

    /// The exit status for an error: 78 if something must be changed first, else 1.
    pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
        match error.downcast_ref::<Error>() {
            Some(error) => error.exit_code(),
            None if error.is::<Invalid>() => CONFIG.into(),
            None => ExitCode::FAILURE,
        }
    }
}
