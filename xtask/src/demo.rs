//! A demonstration without a terminal: one reload and one kill -9 under load, counted.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use client::Report;
use machine::{Machine, Output, Running, poll};

use crate::workspace::Workspace;

/// How many connections are kept alive at once. Each is idle for up to 20 ms between two requests.
const CONNECTIONS: u64 = 20;

/// A limit for bugs: every step takes only seconds.
const DEADLINE: Duration = Duration::from_secs(120);

/// Builds the strict client.
pub(crate) fn client(workspace: &Workspace) -> Result<PathBuf> {
    workspace.cargo().args(["build", "--release", "-p", "client"]).run()?;
    Ok(workspace.release("client"))
}

pub(crate) fn run(machine: &Machine, client: &Path) -> Result<()> {
    reload(machine, client)?;
    kill(machine, client)
}

/// A reload replaces every worker and loses nothing.
fn reload(machine: &Machine, client: &Path) -> Result<()> {
    let before = pids(machine)?;
    let load = load(machine, client)?;
    machine.systemctl(["reload", "app-cluster"]).into_success()?;
    let after = pids(machine)?;
    let report = report(load.stop())?;
    println!("reload under load: {} requests, {} lost", report.sent, report.failed());
    println!("    pids {before:?} became {after:?}");
    ensure!(after.iter().all(|pid| !before.contains(pid)), "a worker was not replaced");
    ensure!(report.is_clean(), "the reload lost requests:\n{report}");
    Ok(())
}

/// A killed worker loses only the requests that it was answering.
fn kill(machine: &Machine, client: &Path) -> Result<()> {
    let killed = machine.main_pid("worker@1");
    let load = load(machine, client)?;
    machine.run(["kill", "-KILL", &killed.to_string()]).into_success()?;
    let replacement = poll("the replacement of the killed worker", DEADLINE, || {
        match (machine.main_pid("worker@1"), machine.show("worker@1", "ActiveState").as_str()) {
            (pid, "active") if pid != killed => Ok(pid),
            (pid, state) => Err(format!("{state}, pid {pid}")),
        }
    })?;
    let report = report(load.stop())?;
    let in_flight = report.cut();
    let lost = report.failed() - in_flight;
    println!("kill -9 of worker@1 under load: {} requests, {lost} lost", report.sent);
    println!(
        "    {in_flight} connections ended with pid {killed}, each with at most the request that it was answering"
    );
    println!("    pid {replacement} replaced it");
    let elsewhere = report.examples.iter().find(|example| example.last_pid.is_some_and(|pid| pid != killed));
    ensure!(report.ok > 0 && lost == 0, "the crash lost requests that were not in flight:\n{report}");
    ensure!(elsewhere.is_none(), "the crash lost a request of another worker:\n{report}");
    ensure!(in_flight <= CONNECTIONS, "the crash lost more than one request per connection:\n{report}");
    Ok(())
}

/// Starts the load and waits for its first responses.
pub(crate) fn load(machine: &Machine, client: &Path) -> Result<Running> {
    start(machine, client, &["--connections", &CONNECTIONS.to_string(), "--gap", "0-20"])
}

/// The same with other arguments of the client.
pub(crate) fn start(machine: &Machine, client: &Path, arguments: &[&str]) -> Result<Running> {
    let arguments = [arguments, &["--progress", "50", "--json"]].concat();
    let mut load = machine.spawn_in_network(client, arguments);
    poll("the load", DEADLINE, || {
        let text = load.text_so_far();
        let answered = text.lines().any(|line| line.contains(" ok, ") && !line.starts_with("0 ok"));
        if answered && !load.has_ended() { Ok(()) } else { Err(text) }
    })?;
    Ok(load)
}

pub(crate) fn report(output: Output) -> Result<Report> {
    // The client's exit status only says whether any request was lost. The report says more.
    let json = output.any_stdout();
    serde_json::from_str(json).with_context(|| format!("the client ended unexpectedly:\n{output}"))
}

fn pids(machine: &Machine) -> Result<Vec<u32>> {
    let units = machine.systemctl(["show", "--property=MainPID", "--value", "--state=active", "worker@*"]);
    let pids = units.into_success()?;
    Ok(pids.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect())
}
