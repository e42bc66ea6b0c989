//! A running peer: its processes, and how they are replaced.

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use machine::poll;
use rustix::process::{Signal, pidfd_send_signal};

use super::peer::{Peer, Workers};
use crate::bench::cluster::Cluster;

/// How many workers each peer has.
pub(super) const WORKERS: usize = 4;

/// A limit for bugs: a peer that takes this long does not do what is expected of it.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// A peer that has been started.
pub(super) struct Serving<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) peer: &'a Peer,
    /// The process that supervises the workers, if there is one beside systemd.
    supervisor: Option<u32>,
}

impl<'a> Serving<'a> {
    /// Starts a peer and waits for all its workers.
    pub(super) fn start(cluster: &'a Cluster, peer: &'a Peer) -> Result<Self> {
        cluster.machine.systemctl(["start", peer.unit]).into_success()?;
        let supervisor = peer.supervisor.map(|unit| cluster.machine.main_pid(unit));
        let serving = Self { cluster, peer, supervisor };
        serving.until_complete()?;
        Ok(serving)
    }

    /// Stops all of it.
    pub(super) fn stop(self) -> Result<()> {
        self.cluster.machine.systemctl(["stop", self.peer.unit]).into_success()?;
        Ok(())
    }

    /// Waits until the peer has the right number of workers, and returns their pids.
    pub(super) fn until_complete(&self) -> Result<Vec<u32>> {
        poll("all workers", DEADLINE, || {
            let workers = self.workers()?;
            ensure!(workers.len() == WORKERS, "these processes are workers: {workers:?}");
            Ok(workers)
        })
    }

    /// The pids of the workers inside the machine.
    fn workers(&self) -> Result<Vec<u32>> {
        let numbers = match (&self.peer.workers, self.supervisor) {
            (Workers::Children, supervisor) => {
                let supervisor = supervisor.context("the peer has no supervisor")?;
                let path = self.cluster.proc(supervisor).join(format!("task/{supervisor}/children"));
                fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?
            }
            (Workers::Units(units), _) => {
                let show = ["show", "--property=MainPID", "--value", "--state=active", units];
                self.cluster.machine.systemctl(show).into_success()?
            }
        };
        numbers.split_whitespace().map(|number| number.parse().context("a pid is a number")).collect()
    }

    /// Replaces all workers. Returns how long it took.
    pub(super) fn rollout(&self) -> Result<Duration> {
        let before = self.until_complete()?;
        let begun = Instant::now();
        self.cluster.machine.shell(self.peer.rollout).into_success()?;
        let returned = begun.elapsed();
        poll("the end of the rollout", DEADLINE, || {
            let workers = self.workers()?;
            let is_new = workers.len() == WORKERS && workers.iter().all(|pid| !before.contains(pid));
            ensure!(is_new, "{before:?} became {workers:?}");
            Ok(())
        })?;
        Ok(match self.peer.workers {
            Workers::Units(_) => returned,
            Workers::Children => begun.elapsed(),
        })
    }

    /// Sends SIGKILL to a process.
    pub(super) fn kill(&self, pid: u32) -> Result<()> {
        // pidfd_send_signal(2) accepts a /proc directory as a pidfd. This one leads into the machine.
        let process = File::open(self.cluster.proc(pid)).with_context(|| format!("{pid} is no process"))?;
        pidfd_send_signal(process, Signal::KILL).with_context(|| format!("failed to kill {pid}"))
    }

    /// The memory of the supervisor, if there is one, and of each worker, in KiB. This is the private memory,
    /// and a share of the shared memory (Pss in /proc/PID/smaps_rollup, proc_pid_smaps(5)).
    pub(super) fn memory(&self) -> Result<(Option<u64>, Vec<u64>)> {
        let supervisor = self.supervisor.map(|pid| self.pss(pid)).transpose()?;
        let workers = self.until_complete()?.into_iter().map(|pid| self.pss(pid));
        Ok((supervisor, workers.collect::<Result<_>>()?))
    }

    fn pss(&self, pid: u32) -> Result<u64> {
        let path = self.cluster.proc(pid).join("smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let kib = text.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next());
        kib.and_then(|kib| kib.parse().ok()).with_context(|| format!("{} tells no Pss", path.display()))
    }
}
