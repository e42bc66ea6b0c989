//! How long it takes to replace a crashed worker, measured in turns: app-cluster, app-cluster without the
//! sandbox, and PM2.

use anyhow::{Context, Result};

use super::{
    crash::{Load, crash},
    load::{Client, RATE},
    pairs::Pairs,
    peer::{OURS, PM2, Peer},
    serving::Serving,
    visit::Plan,
};
use crate::bench::{cluster::Cluster, trend::median};

const DROP_IN: &str = "/etc/systemd/system/worker@.service.d/90-bench.conf";

/// Removes all restrictions of a worker except its user. `tests` compares this with the unit.
const WITHOUT_SANDBOX: &str = "\
[Service]
CapabilityBoundingSet=~
DevicePolicy=auto
LockPersonality=no
NoNewPrivileges=no
ProtectClock=no
RemoveIPC=no
RestrictAddressFamilies=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
SystemCallArchitectures=
SystemCallFilter=
";

/// Milliseconds from SIGKILL until the new process answers, under one of the two loads.
#[derive(Default)]
struct Times {
    to_pm2: Pairs,
    without_sandbox: Vec<f64>,
}

/// Under both loads.
#[derive(Default)]
pub(super) struct Recovery([Times; LOADS.len()]);

const LOADS: [Load; 2] = [Load::AtRate, Load::Saturating];

impl Recovery {
    /// The cluster is stopped, before and after.
    pub(super) fn measure(cluster: &Cluster, client: &Client<'_>, plan: &Plan) -> Result<Self> {
        let mut recovery = Self::default();
        for turn in 0..plan.crash_turns {
            eprintln!("xtask: turn {} of {}: crashes of app-cluster and of PM2", turn + 1, plan.crash_turns);
            let ours = crashes(cluster, client, &OURS, plan)?;
            let pm2 = crashes(cluster, &client.of(&PM2), &PM2, plan)?;
            let bare = without_sandbox(cluster, || crashes(cluster, client, &OURS, plan))?;
            for (load, times) in recovery.0.iter_mut().enumerate() {
                for (ours, pm2) in ours[load].iter().zip(&pm2[load]) {
                    times.to_pm2.push([*ours, *pm2]);
                }
                times.without_sandbox.extend(&bare[load]);
            }
        }
        Ok(recovery)
    }

    pub(super) fn sentence(&self) -> Result<String> {
        let [at_rate, saturating] = &self.0;
        let [bare_at_rate, bare_saturating] = self.0.each_ref().map(|times| median(&times.without_sandbox));
        let (bare_at_rate, bare_saturating) =
            bare_at_rate.zip(bare_saturating).context("there was no turn")?;
        Ok(format!(
            "**Crashes in turns.** app-cluster and PM2 are started in turns, and of their workers {count} each are killed under \
            each of two loads, both with a connection for each request. At {RATE} requests a second the replacement gives its \
            first answer after {}. While all CPUs are busy, with requests as fast as they are answered: after {}. Without \
            the directives that restrict a worker, which the others do not have, it would be {bare_at_rate:.0} and {bare_saturating:.0} ms.",
            compared(&at_rate.to_pm2)?,
            compared(&saturating.to_pm2)?,
            count = at_rate.to_pm2.count(),
        ))
    }
}

fn compared(to_pm2: &Pairs) -> Result<String> {
    let [ours, pm2] = to_pm2.medians()?;
    let [ratio, lower, upper] = to_pm2.ratio()?;
    Ok(format!(
        "{ours:.0} ms, PM2's after {pm2:.0} ms, **{ratio:.3} of PM2** (medians, and of the pairs' ratios; half of these \
        between {lower:.3} and {upper:.3})"
    ))
}

/// Starts this peer, crashes some of its workers under each of [`LOADS`], and stops it.
fn crashes(
    cluster: &Cluster,
    client: &Client<'_>,
    peer: &Peer,
    plan: &Plan,
) -> Result<[Vec<f64>; LOADS.len()]> {
    let serving = Serving::start(cluster, peer)?;
    // After this, a just-in-time compiler has done its work.
    client.run(&["--seconds", "1"])?;
    let mut recoveries = [const { Vec::new() }; LOADS.len()];
    for place in 0..plan.crashes {
        for (times, load) in recoveries.iter_mut().zip(LOADS) {
            times.push(crash(&serving, client, load, place)?.recovery.as_secs_f64() * 1e3);
        }
    }
    serving.until_complete()?;
    serving.stop()?;
    Ok(recoveries)
}

fn without_sandbox<T>(cluster: &Cluster, measure: impl FnOnce() -> Result<T>) -> Result<T> {
    cluster.machine.write_file(DROP_IN, WITHOUT_SANDBOX);
    cluster.machine.systemctl(["daemon-reload"]).into_success()?;
    let measured = measure()?;
    cluster.machine.run(["rm", DROP_IN]).into_success()?;
    cluster.machine.systemctl(["daemon-reload"]).into_success()?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_sandbox_is_taken_back() {
        let unit = include_str!("../../../../units/worker@.service");
        let sandbox = unit.split_once("\n# The sandbox").expect("the unit has a sandbox").1;
        let set = sandbox
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='));
        for (name, _) in set.filter(|(name, _)| !["UMask", "SystemCallErrorNumber"].contains(name)) {
            assert!(WITHOUT_SANDBOX.contains(&format!("\n{name}=")), "{name} stays");
        }
    }
}
