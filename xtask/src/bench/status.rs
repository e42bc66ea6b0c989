//! What `app-cluster status` costs its caller and the orchestrator.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{
    cluster::Cluster,
    cpu::{ORCHESTRATOR, Usage},
    table::markdown,
};

/// The number of calls.
const CALLS: u32 = 100;

/// The cost of one call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// From the start of the process to its end.
    took: Duration,
    /// Of the process, in user mode and in the kernel.
    own_cpu: Duration,
    orchestrators_cpu: Duration,
}

impl Cost {
    /// Calls it many times, one call after another.
    pub(super) fn measure(cluster: &Cluster) -> Result<Self> {
        let (orchestrator, _) = cluster.orchestrator()?;
        let before = Usage::until_now(cluster, orchestrator)?;
        // Timed inside the machine: entering it takes as long as the command.
        let calls =
            format!("for ((n = 0; n < {CALLS}; n++)); do app-cluster status >/dev/null || exit; done");
        let timed = format!("TIMEFORMAT='%R %U %S'; time {{ {calls}; }}");
        let output = cluster.machine.run(["bash", "-c", &timed]);
        let times: Vec<_> = output.stderr().split_whitespace().filter_map(seconds).collect();
        let [took, user, kernel] = times[..] else { bail!("bash tells no times:\n{output}") };
        let used = Usage::until_now(cluster, orchestrator)?.since(before).of_each()[ORCHESTRATOR];
        Ok(Self { took: took / CALLS, own_cpu: (user + kernel) / CALLS, orchestrators_cpu: used / CALLS })
    }
}

fn seconds(number: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number.parse().ok()?).ok()
}

/// Both costs as a table.
pub(super) fn table(few: Cost, many: Cost) -> String {
    let ms = |duration: Duration| format!("{:.2}", duration.as_secs_f64() * 1e3);
    let row = |what: &str, of: fn(Cost) -> Duration| vec![what.to_owned(), ms(of(few)), ms(of(many))];
    let rows = [
        row("whoever asks waits for", |cost| cost.took),
        row("processor time of the command", |cost| cost.own_cpu),
        row("processor time of the orchestrator", |cost| cost.orchestrators_cpu),
    ];
    let header = ["ms for each `app-cluster status`", "10 workers", "100 workers"];
    format!("{}\nMeans of {CALLS} calls in a row; each is a process of its own.\n", markdown(&header, &rows))
}
