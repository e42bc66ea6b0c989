//! `app-cluster status`: the workers and the last rollout, once or every second.

mod memory;
mod table;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use api::{ClusterProxy, Status};
use serde::Serialize;

use crate::args::StatusOptions;
use crate::exit::{Exit, Failure};
use crate::table::Style;
use crate::{bus, output};

/// Memory by instance, in bytes; absent where it is not known.
pub(crate) type Memory = BTreeMap<u32, u64>;

/// Shows the cluster as `options` ask for.
pub(crate) async fn run(options: StatusOptions) -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    if options.watch {
        return watch(&cluster).await;
    }
    let (status, memory) = look(&cluster).await?;
    let text = if options.json { json(&status, &memory)? } else { text(&status, &memory) };
    output::print(&text)?;
    Ok(Exit::Done)
}

async fn watch(cluster: &ClusterProxy<'_>) -> anyhow::Result<Exit> {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let (status, memory) = look(cluster).await?;
        output::print(&format!("{clear}{}\n", text(&status, &memory)))?;
    }
}

async fn look(cluster: &ClusterProxy<'_>) -> Result<(Status, Memory), Failure> {
    let (status,) = cluster.status().await.map_err(|error| match bus::failure(error) {
        // Everybody may ask; if not, it is the bus that does not know the orchestrator's policy.
        Failure { exit: Exit::Refused, message } => Failure::new(Exit::Unreachable, message),
        failure => failure,
    })?;
    let memory =
        status.workers.iter().filter_map(|w| Some((w.instance, memory::of_process(w.pid)?))).collect();
    Ok((status, memory))
}

fn text(status: &Status, memory: &Memory) -> String {
    table::render(status, memory, SystemTime::now(), &Style::of_stdout())
}

/// [`Status`] as it crosses the bus, with `memory_bytes` in each worker.
#[derive(Serialize)]
struct Json<'a> {
    cluster: &'a str,
    version: &'a str,
    summary: &'a str,
    release: &'a str,
    desired: u32,
    ready: u32,
    workers: Vec<JsonWorker<'a>>,
    rollout: &'a [api::Rollout],
}

#[derive(Serialize)]
struct JsonWorker<'a> {
    #[serde(flatten)]
    worker: &'a api::Worker,
    memory_bytes: Option<u64>,
}

fn json(status: &Status, memory: &Memory) -> serde_json::Result<String> {
    let Status { cluster, version, summary, release, desired, ready, workers, rollout } = status;
    let with_memory = |worker| JsonWorker { worker, memory_bytes: memory.get(&worker.instance).copied() };
    let workers = workers.iter().map(with_memory).collect();
    let (desired, ready) = (*desired, *ready);
    let json = Json { cluster, version, summary, release, desired, ready, workers, rollout };
    serde_json::to_string_pretty(&json).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_fields_of_the_interface_and_memory() {
        let status = table::tests::four_workers();
        let text = json(&status, &Memory::from([(1, 12_900_000)])).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["workers"][0]["state"], "ready");
        assert_eq!(value["workers"][0]["memory_bytes"], 12_900_000);
        assert!(value["workers"][1]["memory_bytes"].is_null());
        // Nothing of the interface is missing: without the memory it is the status again.
        for worker in value["workers"].as_array_mut().unwrap() {
            worker.as_object_mut().unwrap().remove("memory_bytes");
        }
        assert_eq!(value, serde_json::to_value(&status).unwrap());
    }
}
