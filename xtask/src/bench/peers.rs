//! app-cluster beside other programs that replace the workers of a service. All give the same response, on
//! the same address and machine. They take turns many times, so that drift affects all of them equally.
//!
//! `kit` is what the machine needs, `peer` the list of peers, `serving` a running peer. `visit` measures one
//! peer in one go, `turns` and `recovery` measure two in turns. `measured` holds the results, and `report`
//! prints them.

mod crash;
mod kit;
mod load;
mod measured;
mod pairs;
mod peer;
mod plain;
mod recovery;
mod report;
mod serving;
mod spread;
mod turns;
mod visit;

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

pub(super) use self::kit::Kit;
use self::{
    load::Client,
    measured::Measured,
    peer::{OURS, PEERS},
    recovery::Recovery,
    serving::WORKERS,
    turns::{AsShipped, Throughput},
    visit::Plan,
};
use super::{Findings, cluster::Cluster};

pub(super) fn run(cluster: &Cluster, client: &Path, kit: &Kit, quick: bool) -> Result<Findings> {
    let plan = if quick { Plan::QUICK } else { Plan::FULL };
    kit.unpack(cluster)?;
    let client = Client { machine: &cluster.machine, program: client, address: OURS.address };
    let as_shipped = AsShipped::measure(cluster, &client, &plan)?;
    let throughput = Throughput::measure(cluster, &client, &plan)?;
    cluster.resize(u32::try_from(WORKERS)?, Duration::ZERO)?;
    // The address must be free for the peers.
    cluster.machine.systemctl(["stop", "app-cluster.target"]).into_success()?;
    let recovery = Recovery::measure(cluster, &client, &plan)?;

    let mut measured: Vec<Measured> = PEERS.iter().map(|_| Measured::default()).collect();
    for round in 0..plan.rounds {
        for turn in 0..PEERS.len() {
            // Over all rounds, each peer follows each other peer once.
            let who = (round + turn) % PEERS.len();
            let peer = &PEERS[who];
            eprintln!("xtask: round {} of {}: {}", round + 1, plan.rounds, peer.name);
            visit::visit(cluster, &client.of(peer), peer, &plan, &mut measured[who])
                .with_context(|| format!("failed to measure {}", peer.name))?;
        }
    }
    let in_turns = [throughput.sentence()?, as_shipped.sentence()?, recovery.sentence()?];
    report::findings(&plan, &measured, &in_turns, &kit.versions(cluster)?)
}
