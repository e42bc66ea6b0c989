//! What operators do at the end of a round: they undo the faults, resume or abort a paused rollout, and start
//! what they have stopped.

use std::{collections::BTreeSet, fmt, mem};

use promises::{Cluster, Disk};

use super::{action::in_time, chance::Chance};

/// The workers that an operator has stopped, and has not started since.
pub(super) type Stopped = BTreeSet<u32>;

/// Frees disk space, continues stopped processes, and starts units that are down. In kill(2), -1 means every
/// process of the machine except the first.
///
/// A running unit is not started. If a start arrives while a reload runs, systemd runs the reload once more
/// (`job_type_merge_and_collapse` in systemd's job.c). So with a start at every look, a reload would never
/// end.
const UNDO: &str = "\
    rm -f /var/lib/app-cluster/filler /run/app-cluster/filler; kill -s CONT -1; \
    systemctl is-active --quiet app-cluster.service || systemctl start --no-block app-cluster.service";

/// What an operator chooses at random.
#[derive(Debug)]
pub(super) struct Mending {
    /// A paused rollout is resumed. Otherwise it is aborted.
    resumes: bool,
    /// Stopped workers are started again. Otherwise they stay stopped in the next round.
    starts: bool,
}

impl Mending {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        Self { resumes: chance.coin(), starts: chance.coin() }
    }

    /// Ends a rollout that waits for an operator. Returns whether there was one.
    pub(super) fn end_pause(&self, cluster: &Cluster) -> bool {
        let status = cluster.try_status().unwrap_or_default();
        let waits = status.rollout.iter().any(|rollout| rollout.state == api::RolloutState::Paused);
        if waits {
            let verb = if self.resumes { "resume --no-wait" } else { "abort" };
            let _ = in_time(cluster, &format!("app-cluster {verb}"));
        }
        waits
    }

    /// Starts the stopped workers, if the operator chooses so.
    pub(super) fn start_stopped(&self, cluster: &Cluster, stopped: &mut Stopped) {
        if !self.starts {
            return;
        }
        let wanted = cluster.try_status().map_or(u32::MAX, |status| status.desired);
        for number in mem::take(stopped).range(..=wanted) {
            let _ = in_time(cluster, &format!("systemctl start --no-block worker@{number}"));
        }
    }
}

/// Afterwards the disks have space and are writable, no process is stopped, and the cluster is started.
pub(super) fn undo_faults(cluster: &Cluster) {
    Disk::VAR.make_writable(cluster);
    // systemd may be re-executing itself. The next look repeats the command.
    let _ = in_time(cluster, UNDO);
}

impl fmt::Display for Mending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = if self.resumes { "resumed" } else { "aborted" };
        let stopped = if self.starts { "started" } else { "left alone" };
        write!(f, "faults are undone, what waits is {waiting}, stopped workers are {stopped}")
    }
}
