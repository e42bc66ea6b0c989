//! Waits until as many workers run as were requested.

use std::time::Duration;

use anyhow::Context;
use api::{Cluster, Status, Worker, WorkerState};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::progress::Progress;
use crate::exit::{Exit, Failure};
use crate::{bus, clock, output};

/// The time between two calls of the status. A start takes about as long.
const PAUSE: Duration = Duration::from_millis(100);
/// systemd restarts the orchestrator within a second, but it may have to wait for the bus or for a disk.
const ABSENCE: Duration = Duration::from_secs(30);

/// How the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// The new workers are ready, and the surplus ones have ended.
    Done,
    /// The number takes effect when a rollout ends.
    Postponed,
    /// The user stopped the waiting.
    Left,
}

/// Waits until the `wanted` workers run. `before` is the cluster before the change.
///
/// # Errors
/// If a new worker fails, the number is changed again meanwhile, or the orchestrator stays away.
pub(super) async fn until_so_many_run(
    cluster: &Cluster,
    before: &Status,
    wanted: u32,
) -> anyhow::Result<Waited> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let work = async {
        let mut change = Change::new(before, wanted);
        let mut progress = Progress::new(change.total());
        loop {
            let status = look(cluster).await?;
            match change.see(&status)? {
                Seen::Postponed => return Ok(Waited::Postponed),
                Seen::UnderWay { over } => progress.show(&over, change.total()),
                Seen::Over { over } => {
                    progress.show(&over, change.total());
                    return Ok(Waited::Done);
                }
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        waited = work => waited,
        _ = interrupt.recv() => {
            output::complain("no longer waiting; the orchestrator continues, see `app-cluster status`\n");
            Ok(Waited::Left)
        }
    }
}

/// The status. Waits for an orchestrator that is away for a moment.
async fn look(cluster: &Cluster) -> Result<Status, Failure> {
    let mut last = None;
    let answered = clock::within(ABSENCE, async {
        loop {
            match bus::answer(cluster.status()).await {
                Ok(status) => return status,
                Err(failure) => last = Some(failure),
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    match answered.await {
        Some(status) => Ok(status),
        None => {
            Err(last.unwrap_or_else(|| Failure::new(Exit::Unreachable, "the orchestrator does not answer")))
        }
    }
}

/// What one status shows. `over` has the workers that have reached their new state, and its name.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Postponed,
    UnderWay { over: Vec<(u32, &'static str)> },
    Over { over: Vec<(u32, &'static str)> },
}

/// The workers that have to start and to stop.
struct Change {
    before: u32,
    wanted: u32,
    /// To start, and the lowest number of restarts that systemd has reported for each.
    new: Vec<(u32, Option<u32>)>,
    /// To stop.
    old: Vec<u32>,
    has_begun: bool,
}

impl Change {
    fn new(before: &Status, wanted: u32) -> Self {
        let old = before.workers.iter().filter(|worker| worker.instance > wanted && is_up(worker));
        Self {
            before: before.desired,
            wanted,
            new: (before.desired + 1..=wanted).map(|instance| (instance, None)).collect(),
            old: old.map(|worker| worker.instance).collect(),
            has_begun: false,
        }
    }

    fn total(&self) -> usize {
        self.new.len() + self.old.len()
    }

    fn see(&mut self, status: &Status) -> Result<Seen, Failure> {
        if status.desired != self.wanted {
            return if self.has_begun { Err(overtaken(status.desired)) } else { Ok(Seen::Postponed) };
        }
        self.has_begun = true;
        let find = |instance| status.workers.iter().find(|worker| worker.instance == instance);
        let mut over = Vec::new();
        for (instance, restarts) in &mut self.new {
            let Some(worker) = find(*instance) else { continue };
            let least = restarts.map_or(worker.restarts, |least| least.min(worker.restarts));
            *restarts = Some(least);
            match worker.state {
                WorkerState::Ready => over.push((*instance, "ready")),
                // An operator stopped it when it was part of the cluster before.
                WorkerState::Stopped => over.push((*instance, "stopped")),
                WorkerState::Failed | WorkerState::Flapping => {
                    return Err(failed(worker, status, self.before));
                }
                WorkerState::Starting | WorkerState::Stopping if worker.restarts > least => {
                    return Err(failed(worker, status, self.before));
                }
                WorkerState::Unknown | WorkerState::Starting | WorkerState::Stopping => {}
            }
        }
        let gone = self.old.iter().filter(|old| !find(**old).is_some_and(is_up));
        over.extend(gone.map(|old| (*old, "stopped")));
        Ok(if over.len() == self.total() { Seen::Over { over } } else { Seen::UnderWay { over } })
    }
}

fn is_up(worker: &Worker) -> bool {
    !matches!(worker.state, WorkerState::Failed | WorkerState::Flapping | WorkerState::Stopped)
}

fn failed(worker: &Worker, status: &Status, before: u32) -> Failure {
    let Worker { unit, last_exit, .. } = worker;
    let how = if last_exit.is_empty() { "failed" } else { last_exit };
    let ready = format!("{} of {} are ready", status.ready, status.desired);
    Failure::new(
        Exit::Failed,
        format!(
            "{unit} did not become ready: it {how}; {ready}, and it will be started again\n\
             see `journalctl -u {unit}`; `app-cluster scale {before}` restores the old number"
        ),
    )
}

fn overtaken(desired: u32) -> Failure {
    Failure::new(Exit::Failed, format!("the number was changed again meanwhile: it is now {desired}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::four_workers;

    /// A cluster that wants this many workers. Worker `i` has the i-th state.
    fn status(desired: u32, states: &[WorkerState]) -> Status {
        let four = four_workers();
        let worker = |(instance, state): (u32, &WorkerState)| Worker {
            instance,
            unit: format!("worker@{instance}.service"),
            state: *state,
            restarts: 3,
            ..four.workers[0].clone()
        };
        Status { desired, workers: (1..).zip(states).map(worker).collect(), ..four }
    }

    use WorkerState::{Failed, Flapping, Ready, Starting, Stopped, Stopping};

    #[test]
    fn the_new_ones_have_to_be_ready_and_the_old_ones_gone() {
        let mut up = Change::new(&status(2, &[Ready, Flapping]), 4);
        assert_eq!(up.see(&status(4, &[Ready, Flapping])), Ok(Seen::UnderWay { over: vec![] }));
        let over = vec![(3, "ready")];
        assert_eq!(up.see(&status(4, &[Ready, Flapping, Ready, Starting])), Ok(Seen::UnderWay { over }));
        // A worker stays stopped if an operator stopped it when it was part of the cluster before.
        let over = vec![(3, "ready"), (4, "stopped")];
        assert_eq!(up.see(&status(4, &[Ready, Flapping, Ready, Stopped])), Ok(Seen::Over { over }));

        let mut down = Change::new(&status(4, &[Ready, Ready, Ready, Failed]), 2);
        assert_eq!(down.total(), 1);
        assert_eq!(down.see(&status(2, &[Ready, Ready, Stopping])), Ok(Seen::UnderWay { over: vec![] }));
        assert_eq!(down.see(&status(2, &[Ready, Ready])), Ok(Seen::Over { over: vec![(3, "stopped")] }));
    }

    #[test]
    fn one_that_fails_is_told() {
        let mut change = Change::new(&status(1, &[Ready]), 2);
        let mut seen = status(2, &[Ready, Starting]);
        seen.workers[1].restarts = 0;
        seen.workers[1].last_exit = "exited with status 1".into();
        change.see(&seen).unwrap();
        seen.workers[1].restarts = 1;
        let failure = change.see(&seen).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(
            failure.message.starts_with("worker@2.service did not become ready: it exited with status 1; ")
        );
        assert!(failure.message.ends_with("`app-cluster scale 1` restores the old number"), "{failure}");
        for state in [Failed, Flapping] {
            assert!(Change::new(&status(1, &[Ready]), 2).see(&status(2, &[Ready, state])).is_err());
        }
    }

    #[test]
    fn a_number_that_does_not_hold_yet_is_not_waited_for() {
        let mut change = Change::new(&status(1, &[Ready]), 2);
        assert_eq!(change.see(&status(1, &[Ready])), Ok(Seen::Postponed));
        change.see(&status(2, &[Ready, Starting])).unwrap();
        assert!(change.see(&status(3, &[Ready, Ready])).unwrap_err().message.contains("it is now 3"));
    }
}
