//! `app-cluster status`: the workers and the last rollout, once or every second.

mod look;
mod page;
mod quantity;
mod table;
mod traffic;
mod usage;
mod watch;

use api::Counters;
use serde::Serialize;

use self::look::Look;
use crate::args::StatusOptions;
use crate::exit::Exit;
use crate::table::Style;
use crate::{bus, output};

/// Shows the cluster as `options` say.
pub(crate) async fn run(options: StatusOptions) -> anyhow::Result<Exit> {
    let cluster = bus::connect().await?;
    if options.watch {
        return watch::run(&cluster).await;
    }
    let look = Look::now(&cluster).await?;
    let text = if options.json { json(&look)? } else { text(&look, None) };
    output::print(&text)?;
    Ok(Exit::Done)
}

fn text(look: &Look, earlier: Option<&Look>) -> String {
    table::render(look, earlier, &Style::of_stdout())
}

/// [`Status`](api::Status) with the names of the interface. Each worker has additional fields about its process.
/// `docs/reference/json.md` describes it.
#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
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
    cpu_usec: Option<u64>,
    counters: Option<&'a Counters>,
}

fn json(look: &Look) -> serde_json::Result<String> {
    let api::Status { cluster, version, summary, release, desired, ready, workers, rollout } = &look.status;
    let with_process = |worker| {
        let process = look.process(worker);
        let usage = process.map(|process| process.usage).unwrap_or_default();
        JsonWorker {
            worker,
            memory_bytes: usage.memory_bytes,
            cpu_usec: usage.cpu.and_then(|cpu| u64::try_from(cpu.used.as_micros()).ok()),
            counters: process.and_then(|process| process.counters.as_ref()),
        }
    };
    let workers = workers.iter().map(with_process).collect();
    let (desired, ready) = (*desired, *ready);
    let schema_version = output::SCHEMA_VERSION;
    let json = Json { schema_version, cluster, version, summary, release, desired, ready, workers, rollout };
    serde_json::to_string_pretty(&json).map(|text| text + "\n")
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::table::tests::four_workers;
    use super::*;

    #[test]
    fn json_has_the_fields_of_the_interface_and_what_is_known_of_the_processes() {
        let look = table::tests::look(table::tests::four_workers());
        let mut value: serde_json::Value = serde_json::from_str(&json(&look).unwrap()).unwrap();
        let first = &value["workers"][0];
        assert_eq!(first["state"], "ready");
        assert_eq!((&first["memory_bytes"], &first["cpu_usec"]), (&12_900_000.into(), &61_000_000.into()));
        assert_eq!(first["counters"], serde_json::to_value(table::tests::counters(1)).unwrap());
        assert_eq!(first["counters"]["responses"]["5xx"], 3);
        // Without the additional fields, it is the status again. So no field of the interface is missing.
        for (worker, is_known) in
            value["workers"].as_array_mut().unwrap().iter_mut().zip([true, false, false, false])
        {
            let worker = worker.as_object_mut().unwrap();
            let added = ["counters", "cpu_usec", "memory_bytes"].map(|name| worker.remove(name).unwrap());
            assert_eq!(!added[0].is_null(), is_known, "{added:?}");
        }
        assert_eq!(value.as_object_mut().unwrap().remove("schema_version"), Some(1.into()));
        assert_eq!(value, serde_json::to_value(&look.status).unwrap());
    }
}
