//! What a rollout costs for each worker, with few workers and with many.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context, Result};

use super::{
    Findings,
    cluster::Cluster,
    cpu::{CALLER, Usage, WHO},
    stamps::{Span, Stamps, covered},
    status,
    table::{grouped, markdown, millis},
    trend::{median, quantile},
};

/// Long enough that the bus and systemd are idle before the next worker's turn, as in real rollouts.
const SETTLE: Duration = Duration::from_millis(100);

/// The number of workers, and the number of rollouts. There are enough rollouts for a precise cost per
/// worker.
const FEW: (u32, u32) = (10, 20);
const MANY: (u32, u32) = (100, 5);

/// The cost per worker has grown only if it is higher by more than two measurements usually differ.
const SAME: f64 = 1.25;

/// The measurements of one cluster, over several rollouts.
#[derive(Default)]
struct Measured {
    workers: u32,
    rollouts: u32,
    /// How many processes the rollouts started.
    started: u32,
    /// How long all rollouts took for the caller of `systemctl reload`.
    took: Duration,
    /// How much of that the workers themselves took.
    own: Duration,
    starts: Vec<Duration>,
    drains: Vec<Duration>,
    /// The time from one worker's READY=1 to the next one's, without start, drain and settle, in
    /// milliseconds.
    overheads: Vec<f64>,
    cpu: [Duration; WHO.len()],
    /// The cost of `app-cluster status`.
    status: status::Cost,
}

pub(super) fn run(cluster: &Cluster, quick: bool) -> Result<Findings> {
    let measure = |(workers, rollouts)| {
        eprintln!("xtask: rolling {workers} workers");
        measure(cluster, workers, if quick { 1 } else { rollouts })
    };
    let (few, many) = (measure(FEW)?, measure(MANY)?);
    Ok(findings(&few, &many))
}

fn measure(cluster: &Cluster, workers: u32, rollouts: u32) -> Result<Measured> {
    cluster.resize(workers, SETTLE)?;
    remember(cluster, workers + 1)?;
    let (orchestrator, _) = cluster.orchestrator()?;
    let mut measured = Measured { workers, rollouts, ..Measured::default() };
    let before = Usage::until_now(cluster, orchestrator)?;
    for _ in 0..rollouts {
        let since = newest(&Stamps::read(&cluster.machine)?);
        let took = cluster.reload()?;
        measured.add(&Stamps::read(&cluster.machine)?, since, took).context("no worker was started")?;
    }
    measured.cpu = Usage::until_now(cluster, orchestrator)?.since(before).of_each();
    measured.status = status::Cost::measure(cluster)?;
    Ok(measured)
}

/// systemd forgets a stopped unit and its time stamps, unless another unit names it. A rollout may stop an
/// extra worker that it needed only for its own duration.
fn remember(cluster: &Cluster, workers: u32) -> Result<()> {
    let mut target = "[Unit]\n".to_owned();
    for instance in 1..=workers {
        writeln!(target, "After=worker@{instance}.service")?;
    }
    let name = format!("bench-{workers}.target");
    cluster.machine.write_file(&format!("/etc/systemd/system/{name}"), &target);
    cluster.machine.systemctl(["start", &name]).into_success()?;
    Ok(())
}

fn newest(stamps: &[Stamps]) -> u64 {
    stamps.iter().map(|stamps| stamps.ready).max().unwrap_or(0)
}

impl Measured {
    /// Adds a rollout that began after `since`. `None` if it started nothing.
    fn add(&mut self, stamps: &[Stamps], since: u64, took: Duration) -> Option<()> {
        let starts: Vec<Span> = stamps.iter().filter_map(|stamps| stamps.start(since)).collect();
        let drains: Vec<Span> = stamps.iter().filter_map(|stamps| stamps.drain(since)).collect();
        let own = [starts.as_slice(), drains.as_slice()].concat();
        let mut ready: Vec<u64> = starts.iter().map(|start| start.to).collect();
        ready.sort_unstable();
        for pair in ready.windows(2) {
            let step = Span { from: pair[0], to: pair[1] };
            let own = SETTLE + Duration::from_micros(covered(&own, step));
            self.overheads.push((step.micros() as f64 - own.as_micros() as f64) / 1e3);
        }
        let end = own.iter().map(|span| span.to).max()?;
        let settled = SETTLE * u32::try_from(starts.len()).ok()?;
        self.own += settled + Duration::from_micros(covered(&own, Span { from: since, to: end }));
        self.started += u32::try_from(starts.len()).ok()?;
        self.took += took;
        self.starts.extend(starts.iter().map(|span| Duration::from_micros(span.micros())));
        self.drains.extend(drains.iter().map(|span| Duration::from_micros(span.micros())));
        Some(())
    }

    /// What the rollouts took beyond the workers' own time, per worker, in milliseconds.
    fn beyond(&self) -> f64 {
        (self.took.as_secs_f64() - self.own.as_secs_f64()) * 1e3 / f64::from(self.started.max(1))
    }

    fn overhead(&self, part: f64) -> f64 {
        quantile(&self.overheads, part).unwrap_or(f64::NAN)
    }

    fn cpu(&self, who: usize) -> f64 {
        self.cpu[who].as_secs_f64() * 1e3 / f64::from(self.started.max(1))
    }

    /// The time of all programs that work for each worker. The caller only waits, so it is left out.
    fn cpu_of_all(&self) -> f64 {
        (0..CALLER).map(|who| self.cpu(who)).sum()
    }
}

fn findings(few: &Measured, many: &Measured) -> Findings {
    let own =
        |what: &str, of: fn(&Measured) -> String| vec![what.to_owned(), of(few), of(many), String::new()];
    let mut rows = vec![
        own("its own start, median", |measured| median(&measured.starts).map(millis).unwrap_or_default()),
        own("its own drain, median", |measured| median(&measured.drains).map(millis).unwrap_or_default()),
        own("settle", |_| millis(SETTLE)),
    ];
    let mut broken = Vec::new();
    let mut cost = |what: &str, is_promised: bool, of: &dyn Fn(&Measured) -> f64| {
        let (few, many) = (of(few), of(many));
        let ratio = many / few;
        let holds = ratio <= SAME;
        if is_promised && !holds {
            broken.push(format!("{what} grows from {few:.2} to {many:.2} ms"));
        }
        rows.push(vec![what.to_owned(), format!("{few:.2}"), format!("{many:.2}"), format!("{ratio:.2}")]);
    };
    cost("**overhead**, median", true, &|measured| measured.overhead(0.5));
    cost("overhead, 95 of 100 are below", false, &|measured| measured.overhead(0.95));
    cost("overhead, longest", false, &|measured| measured.overhead(1.0));
    cost("whole rollout less all of the workers' own", false, &Measured::beyond);
    cost("**processor time** of the next five", true, &Measured::cpu_of_all);
    for (who, name) in WHO.iter().enumerate() {
        cost(name, false, &|measured| measured.cpu(who));
    }
    let header = ["ms for each worker", "10 workers", "100 workers", "100 : 10"];
    let status = status::table(few.status, many.status);
    let text = format!("{}\n{}\n{FORMULA}\n{status}", introduction(few, many), markdown(&header, &rows));
    Findings { text, broken }
}

fn introduction(few: &Measured, many: &Measured) -> String {
    let of = |measured: &Measured| {
        format!(
            "{} workers {} times ({} processes started, {:.2} s for each rollout)",
            measured.workers,
            measured.rollouts,
            grouped(u64::from(measured.started)),
            measured.took.as_secs_f64() / f64::from(measured.rollouts.max(1)),
        )
    };
    format!(
        "`systemctl reload app-cluster` without load, one worker at a time:\n{},\n{}.\n",
        of(few),
        of(many)
    )
}

const FORMULA: &str = "\
All from systemd's time stamps, read after each rollout and never during one. Own start: from exec to READY=1
(`ExecMainStartTimestamp` to `ActiveEnterTimestamp`). Own drain: from SIGTERM until systemd has seen the end
(`ActiveExitTimestamp` to `InactiveEnterTimestamp`). Overhead, for each worker after the first one that became ready:

    overhead(i) = READY(i) - READY(i-1) - settle - (own starts and drains between the two)

The whole rollout is what the caller of `systemctl reload` waits: it adds the way to the first worker, from the last one,
and the processes of systemctl and `app-cluster reload`. Processor time is that of the units' control groups; the
orchestrator's is its threads' (/proc/PID/task/TID/schedstat), and what the service used beyond it is `app-cluster reload`.
Divided by the processes started, with those that a rollout needs only for its own time.
";
