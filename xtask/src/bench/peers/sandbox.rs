//! What the sandbox of the workers costs when one has crashed.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{crash::crash, load::Client, measured::median_millis, peer::OURS, serving::Serving, visit::Plan};
use crate::bench::cluster::Cluster;

const DROP_IN: &str = "/etc/systemd/system/worker@.service.d/90-bench.conf";

/// Takes back all that restricts a worker but its user. `tests` compares it with the unit.
const WITHOUT: &str = "\
[Service]
CapabilityBoundingSet=~
DevicePolicy=auto
LockPersonality=no
NoNewPrivileges=no
ProtectClock=no
ProtectHome=no
ProtectProc=default
ProtectSystem=no
RemoveIPC=no
RestrictAddressFamilies=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
SystemCallArchitectures=
SystemCallFilter=
TemporaryFileSystem=
";

/// From SIGKILL until the new process answers, with the sandbox and without.
#[derive(Default)]
pub(super) struct Sandbox([Vec<Duration>; 2]);

impl Sandbox {
    /// In turns. The cluster is stopped.
    pub(super) fn measure(cluster: &Cluster, client: &Client<'_>, plan: &Plan) -> Result<Self> {
        let mut sandbox = Self::default();
        for turn in 0..plan.rounds {
            eprintln!("xtask: turn {} of {}: crashes with the sandbox, and without", turn + 1, plan.rounds);
            for (times, drop_in) in sandbox.0.iter_mut().zip(["", WITHOUT]) {
                cluster.machine.write_file(DROP_IN, drop_in);
                cluster.machine.systemctl(["daemon-reload"]).into_success()?;
                let serving = Serving::start(cluster, &OURS)?;
                client.run(&["--seconds", "1"])?;
                for place in 0..plan.crashes {
                    times.push(crash(&serving, client, place)?.recovery);
                }
                serving.until_complete()?;
                serving.stop()?;
            }
        }
        cluster.machine.run(["rm", DROP_IN]).into_success()?;
        cluster.machine.systemctl(["daemon-reload"]).into_success()?;
        Ok(sandbox)
    }

    pub(super) fn sentence(&self) -> Result<String> {
        let [with, without] = self.0.each_ref().map(|times| median_millis(times));
        let (with, without) = with.zip(without).context("there was no crash")?;
        Ok(format!(
            "**The price of the sandbox.** Of a killed worker's replacement the first answer comes after {with:.0} ms; \
            without the directives that restrict a worker, which nobody else here has, after {without:.0} ms (medians of {} \
            crashes each, in turns).",
            self.0[0].len(),
        ))
    }
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
            assert!(WITHOUT.contains(&format!("\n{name}=")), "{name} stays");
        }
    }
}
