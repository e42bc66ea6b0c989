//! The cluster that is measured.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use machine::{Boot, Machine, poll};

/// The orchestrator's unit.
pub(super) const SERVICE: &str = "app-cluster.service";

/// A limit for bugs: no step takes this long.
const DEADLINE: Duration = Duration::from_secs(300);

/// A machine with app-cluster installed and no other load.
pub(super) struct Cluster {
    pub(super) machine: Machine,
}

impl Cluster {
    /// Boots a machine and installs the package with apt. It starts with two workers.
    pub(super) fn boot(boot: Boot, package: &Path) -> Result<Self> {
        let cluster = Self { machine: boot.start()? };
        cluster.configure(2, Duration::ZERO);
        cluster.machine.install(package).into_success()?;
        cluster.until_ready(2)?;
        Ok(cluster)
    }

    /// Changes the number of workers with a rollout. A second rollout makes sure that no new work is left.
    pub(super) fn resize(&self, workers: u32, settle: Duration) -> Result<()> {
        self.configure(workers, settle);
        self.reload()?;
        self.until_ready(workers)?;
        self.reload()?;
        Ok(())
    }

    /// Runs `systemctl reload app-cluster`, which must succeed. Returns how long it took.
    pub(super) fn reload(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.machine.systemctl(["reload", "app-cluster"]).into_success()?;
        Ok(begun.elapsed())
    }

    /// The orchestrator's pid in the machine, and how often systemd had to restart it.
    pub(super) fn orchestrator(&self) -> Result<(u32, u32)> {
        let number =
            |property| self.machine.show(SERVICE, property).parse().context("systemd shows a number");
        Ok((number("MainPID")?, number("NRestarts")?))
    }

    /// Waits until this process has not run between two looks. Then it has finished the work of the last
    /// rollout.
    pub(super) fn until_at_rest(&self, pid: u32) -> Result<()> {
        let path = self.proc(pid).join("status");
        let mut before = String::new();
        poll("the orchestrator to come to rest", DEADLINE, || {
            let status = fs::read_to_string(&path)?;
            let switches = status.lines().filter(|line| line.contains("ctxt_switches")).collect::<String>();
            let is_at_rest = switches == before;
            before = switches;
            if is_at_rest { Ok(()) } else { Err(anyhow::anyhow!("it was switched to: {before}")) }
        })
    }

    /// The path of this process in the machine's /proc. Reading there costs the machine nothing.
    pub(super) fn proc(&self, pid: u32) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/proc/{pid}", self.machine.leader()))
    }

    fn configure(&self, workers: u32, settle: Duration) {
        let settings = format!("workers = {workers}\n[rollout]\nsettle = \"{}ms\"\n", settle.as_millis());
        self.machine.write_file("/etc/app-cluster/conf.d/50-bench.toml", &settings);
    }

    fn until_ready(&self, workers: u32) -> Result<()> {
        let show = ["show", "--property=SubState", "--value", "--state=active", "worker@*"];
        poll(&format!("{workers} workers"), DEADLINE, || {
            let states = self.machine.systemctl(show).into_success()?;
            let running = states.lines().filter(|state| *state == "running").count();
            if running == workers as usize { Ok(()) } else { Err(anyhow::anyhow!("{running} are ready")) }
        })
    }
}
