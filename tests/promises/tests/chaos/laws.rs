//! What holds at the end of each round: all wanted workers are ready, the status is true, and a reload works.

use std::{collections::BTreeMap, time::Duration};

use promises::{Cluster, Worker, poll};

use super::{
    action::in_time,
    mending::{Mending, Stopped},
};

/// How soon after the last order everything has recovered.
const SOON: Duration = Duration::from_secs(60);

/// When the check happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    BeforeReload,
    AfterReload,
}

/// Checks everything within a minute, then reloads, and checks everything again. Workers that are no longer
/// wanted are removed from `stopped`.
pub(super) fn hold(cluster: &Cluster, mending: &Mending, stopped: &mut Stopped) -> Result<(), String> {
    let before = whole(cluster, mending, stopped, When::BeforeReload)?;
    let reload = in_time(cluster, "systemctl reload app-cluster");
    if !reload.status().success() {
        return Err(format!("a whole cluster cannot be reloaded: {reload}"));
    }
    let after = whole(cluster, mending, stopped, When::AfterReload)?;
    let is_old = |(number, pid): (&u32, &u32)| after.get(number) == Some(pid);
    if before.iter().any(is_old) {
        return Err(format!("a reload has not replaced all workers: {before:?}, then {after:?}"));
    }
    stopped.retain(|number| !after.contains_key(number));
    let (wanted, configured) = (cluster.status().desired.to_string(), configured(cluster));
    if wanted != configured {
        return Err(format!("{configured} workers are configured, but {wanted} are wanted after a reload"));
    }
    installed(cluster)
}

/// Waits until the cluster has recovered. Returns the pids of its workers.
fn whole(
    cluster: &Cluster,
    mending: &Mending,
    stopped: &Stopped,
    when: When,
) -> Result<BTreeMap<u32, u32>, String> {
    let whole = poll("the cluster to be whole", SOON, || {
        if mending.end_pause(cluster) {
            return Err("a rollout waited".to_owned());
        }
        is_whole(cluster, stopped, when)
    });
    whole.map_err(|error| error.to_string())
}

fn is_whole(cluster: &Cluster, stopped: &Stopped, when: When) -> Result<BTreeMap<u32, u32>, String> {
    is_at_rest(cluster)?;
    let status = cluster.try_status()?;
    if let Some(rollout) = status.rollout.iter().find(|rollout| !rollout.state.has_ended()) {
        return Err(format!("rollout {} is {:?}: {}", rollout.id, rollout.state, rollout.message));
    }
    let workers = cluster.loaded_workers()?;
    let ready: BTreeMap<_, _> = workers
        .iter()
        .filter(|worker| worker.is_ready())
        .map(|worker| (worker.instance, worker.pid))
        .collect();
    for number in 1..=status.desired {
        let is_known = ready.contains_key(&number) || stopped.contains(&number);
        if !is_known {
            return Err(format!("worker@{number} is not ready: {workers:#?}"));
        }
    }
    if let Some(other) = workers.iter().find(|worker| !is_expected(worker, status.desired)) {
        return Err(format!("{other:?}, and {} workers are wanted", status.desired));
    }
    is_true(&status, &ready)?;
    if when == When::AfterReload || !is_left_halfway(cluster) {
        is_of_one_release(cluster, &status.release, &ready)?;
    }
    Ok(ready)
}

/// A wanted worker runs or does not run. Any other worker does not run.
fn is_expected(worker: &Worker, wanted: u32) -> bool {
    let is_down = ["inactive", "failed"].contains(&worker.active.as_str());
    is_down || worker.instance <= wanted && worker.is_ready()
}

/// The orchestrator has no job, and the socket was never restarted.
fn is_at_rest(cluster: &Cluster) -> Result<(), String> {
    let service = ["ActiveState", "Job"].map(|name| cluster.show("app-cluster.service", name));
    let socket = ["ActiveState", "Result", "NRefused"].map(|name| cluster.show("app-cluster.socket", name));
    if service == ["active", ""] && socket == ["active", "success", "0"] {
        return Ok(());
    }
    Err(format!("app-cluster.service is {service:?}, app-cluster.socket is {socket:?}"))
}

/// The status and systemd agree on each worker.
fn is_true(status: &api::Status, ready: &BTreeMap<u32, u32>) -> Result<(), String> {
    let said = status.workers.iter().filter(|worker| worker.state == api::WorkerState::Ready);
    let said: BTreeMap<_, _> = said.map(|worker| (worker.instance, worker.pid)).collect();
    let others = status.workers.iter().filter(|worker| worker.state != api::WorkerState::Ready);
    let is_stopped = |worker: &api::Worker| worker.state == api::WorkerState::Stopped && worker.pid == 0;
    if said == *ready && status.ready as usize == ready.len() && others.clone().all(is_stopped) {
        return Ok(());
    }
    Err(format!("ready are {ready:?}, and the status says {}: {:#?}", status.summary, status.workers))
}

/// Every process executes the release that the status calls current. The kernel knows the program.
fn is_of_one_release(cluster: &Cluster, release: &str, ready: &BTreeMap<u32, u32>) -> Result<(), String> {
    let links: Vec<_> = ready.values().map(|pid| format!("/proc/{pid}/exe")).collect();
    let programs = cluster.run(["readlink"].into_iter().chain(links.iter().map(String::as_str)));
    let expected = format!("/releases/{release}/worker");
    let is_of_it = |program: &str| program.trim_end_matches(" (deleted)").ends_with(&expected);
    let programs = programs.any_stdout();
    let is_one = programs.lines().count() == ready.len() && programs.lines().all(is_of_it);
    if is_one { Ok(()) } else { Err(format!("the current release is {release}, and these run:\n{programs}")) }
}

/// After a rollout that could not go back, the workers stay as they are until the next rollout.
fn is_left_halfway(cluster: &Cluster) -> bool {
    cluster.history().first().is_some_and(|last| last.state == api::EntryState::Failed)
}

/// The number of workers in the configuration: the last file wins.
fn configured(cluster: &Cluster) -> String {
    let numbers = cluster.shell("sed -n 's/^workers = //p' /etc/app-cluster/conf.d/*.toml");
    numbers.stdout().lines().next_back().unwrap_or_default().to_owned()
}

/// dpkg has completed everything.
fn installed(cluster: &Cluster) -> Result<(), String> {
    let state = cluster.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", "app-cluster"]);
    if state.stdout() == "installed" { Ok(()) } else { Err(format!("dpkg was left in the middle: {state}")) }
}
