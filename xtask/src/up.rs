//! A cluster to try out: a Debian machine on this host's network, with the package installed by apt.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use machine::{Boot, Machine, Network, Suite};
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::{deb, demo, enter::leader_file, host, workspace::Workspace};

/// The port of app-cluster.socket by default.
pub(crate) const PORT: u16 = 8080;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The release of Debian: bookworm has systemd 252, trixie has 257
    #[arg(long, default_value = Suite::Bookworm.name(), value_parser = suite, value_name = "NAME")]
    suite: Suite,
}

fn suite(name: &str) -> Result<Suite> {
    let found = Suite::ALL.into_iter().find(|suite| suite.name() == name);
    found.with_context(|| format!("expected {}", Suite::ALL.map(Suite::name).join(" and ")))
}

pub(crate) fn run(workspace: &Workspace, &Options { suite }: &Options) -> Result<()> {
    host::install(&workspace.shell, host::TO_BUILD)?;
    host::install(&workspace.shell, host::TO_BOOT)?;
    ensure_port_is_free(&workspace.shell)?;
    let package = deb::build(workspace, &deb::Options::default())?;
    let attended = io::stdout().is_terminal();
    let client = if attended { None } else { Some(demo::client(workspace)?) };

    host::ensure_root()?;
    eprintln!("xtask: booting Debian {suite}");
    let machine = Boot::new(suite).network(Network::Host).start()?;
    eprintln!("xtask: installing {}", package.display());
    machine.install(&package).into_success()?;
    fs::write(leader_file(workspace), machine.leader().to_string())?;

    let shown = serves(&machine).and_then(|()| {
        print_introduction(suite)?;
        match client {
            None => stay(&machine),
            Some(client) => demo::run(&machine, &client),
        }
    });
    fs::remove_file(leader_file(workspace))?;
    shown
}

fn ensure_port_is_free(shell: &Shell) -> Result<()> {
    let Err(error) = TcpListener::bind(("127.0.0.1", PORT)) else { return Ok(()) };
    let filter = format!("sport = :{PORT}");
    let listeners = cmd!(shell, "ss -Hltnp {filter}").quiet().read().unwrap_or_default();
    // … users:(("node",pid=4711,fd=18))
    let holder = listeners.split_once("users:((\"").and_then(|(_, users)| users.split_once(",fd="));
    match holder.and_then(|(holder, _)| holder.split_once("\",pid=")) {
        Some((name, pid)) => bail!("port {PORT} is taken by {name}, pid {pid}; end that first"),
        None => Err(error).context(format!("failed to bind port {PORT}")),
    }
}

/// Waits until the cluster answers on the port.
fn serves(machine: &Machine) -> Result<()> {
    let url = format!("http://localhost:{PORT}/");
    machine::poll("the cluster's first answer", Duration::from_secs(60), || {
        machine.run(["curl", "--silent", "--show-error", "--max-time", "10", &url]).into_success()
    })?;
    Ok(())
}

fn print_introduction(suite: Suite) -> Result<()> {
    writeln!(
        io::stdout(),
        "\n\
        The cluster serves on http://localhost:{PORT}\n\
        \n\
        Its machine is a Debian of its own ({suite}); run commands in it, from another terminal:\n\
        \x20   cargo xtask enter -- app-cluster status\n\
        \x20   cargo xtask enter -- systemctl reload app-cluster\n\
        \x20   cargo xtask enter -- systemctl status app-cluster 'worker@*'\n\
        \x20   cargo xtask enter -- systemctl kill --signal=SIGKILL worker@1\n\
        \x20   cargo xtask enter -- journalctl -f -u app-cluster -u 'worker@*'\n\
        \x20   cargo xtask enter -- bash\n"
    )?;
    Ok(())
}

/// The part of `app-cluster status --json` that fits into a line.
#[derive(Deserialize)]
struct Status {
    summary: String,
    workers: Vec<Worker>,
}

#[derive(Deserialize)]
struct Worker {
    instance: u32,
    state: String,
    pid: u32,
}

/// Shows the cluster's state until Ctrl-C.
fn stay(machine: &Machine) -> Result<()> {
    let (interrupt, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        // The receiver is gone if the end has already begun.
        let _ = interrupt.send(());
    })?;
    println!("Ctrl-C ends it and removes the machine.\n");
    let line = ProgressBar::new_spinner();
    line.enable_steady_tick(Duration::from_millis(200));
    while interrupted.recv_timeout(Duration::from_secs(1)).is_err() {
        line.set_message(state(machine));
    }
    line.finish_and_clear();
    Ok(())
}

/// `4 of 4 ready, release 1.2.0 · 1 ready 4711 · 2 ready 4712 …`
fn state(machine: &Machine) -> String {
    let output = machine.run(["app-cluster", "status", "--json"]);
    let text = output.stderr().to_owned();
    match output.into_success().ok().and_then(|json| serde_json::from_str::<Status>(&json).ok()) {
        Some(Status { summary, workers }) => workers
            .iter()
            .map(|worker| format!(" · {} {} {}", worker.instance, worker.state, worker.pid))
            .fold(summary, |line, worker| line + &worker),
        None => text,
    }
}
