//! What operators do at the end of a round: they undo the faults, go on with what waits, and start what they have stopped.

use std::{collections::BTreeSet, fmt, mem};

use promises::{Cluster, Disk};

use super::{action::in_time, chance::Chance};

/// The workers that an operator has stopped, and has not started since.
pub(super) type Stopped = BTreeSet<u32>;

/// Makes room, wakes what stands still, and starts what is down. kill(2): -1 is every process of the machine but the first.
///
/// One that is up is not started: a start that comes while a reload runs has systemd run it once more (`job_type_merge_and_collapse` in
/// systemd's job.c), so a start at every look would have a reload never end.
const UNDO: &str = "\
    rm -f /var/lib/app-cluster/filler /run/app-cluster/filler; kill -s CONT -1; \
    systemctl is-active --quiet app-cluster.service || systemctl start --no-block app-cluster.service";

/// What an operator chooses where there is a choice.
#[derive(Debug)]
pub(super) struct Mending {
    /// A rollout that waits goes on. Else it is aborted.
    resumes: bool,
    /// Workers that were stopped are started again. Else they stay stopped in the next round.
    starts: bool,
}

impl Mending {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        Self { resumes: chance.coin(), starts: chance.coin() }
    }

    /// A rollout that waits for somebody waits no longer. Says whether there was one.
    pub(super) fn end_pause(&self, cluster: &Cluster) -> bool {
        let status = cluster.try_status().unwrap_or_default();
        let waits = status.rollout.iter().any(|rollout| rollout.state == api::RolloutState::Paused);
        if waits {
            let verb = if self.resumes { "resume --no-wait" } else { "abort" };
            let _ = in_time(cluster, &format!("app-cluster {verb}"));
        }
        waits
    }

    /// Starts the workers that were stopped, if that is what the operator chooses.
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

/// The disks have room and can be written to, no process stands still, and the cluster is started.
pub(super) fn undo_faults(cluster: &Cluster) {
    Disk::VAR.make_writable(cluster);
    // systemd may just be executing itself anew: it is told again at the next look.
    let _ = in_time(cluster, UNDO);
}

impl fmt::Display for Mending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = if self.resumes { "resumed" } else { "aborted" };
        let stopped = if self.starts { "started" } else { "left alone" };
        write!(f, "faults are undone, what waits is {waiting}, stopped workers are {stopped}")
    }
}
