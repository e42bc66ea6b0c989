//! The process that runs one machine and ends it when nobody wants it any more.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{cgroup, running::content};

/// A running `systemd-nspawn` and its supervisor. Dropped, both are gone, and so is the machine.
#[derive(Debug)]
pub(crate) struct Supervisor {
    process: Child,
    nspawn: u32,
    console: File,
}

impl Supervisor {
    /// Starts the machine `name` with these arguments for systemd-nspawn(1).
    pub(crate) fn start(name: &str, arguments: &[String]) -> Result<Self> {
        let console = tempfile::tempfile().context("failed to make a file for the console")?;
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("supervisor.sh"), "supervisor"]);
        // Under a systemd host the payload gets a scope of its own from it; elsewhere nobody does that.
        let booted = Path::new("/run/systemd/system").is_dir();
        let cgroups = if booted { Vec::new() } else { cgroup::directories(name) };
        if !booted {
            command.arg("--keep-unit");
        }
        let cgroups: Vec<_> = cgroups.iter().map(|path| path.to_string_lossy()).collect();
        let mut process = command
            .args(["--quiet", "--register=no", &format!("--machine={name}")])
            .args(arguments)
            .env("CGROUPS", cgroups.join(" "))
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            // Ctrl-C on the terminal is for whoever wanted the machine, not for the machine.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console.try_clone()?)
            .spawn()
            .context("failed to start sh")?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut supervisor = Self { process, nspawn: 0, console };
        match line.trim().parse() {
            Ok(pid) => supervisor.nspawn = pid,
            Err(_) => bail!("failed to start systemd-nspawn: {}", supervisor.console()),
        }
        Ok(supervisor)
    }

    /// The machine's PID 1 as the host numbers it.
    ///
    /// # Errors
    /// When there is none (yet), with the reason.
    pub(crate) fn leader(&self) -> Result<u32> {
        let nspawn = self.nspawn;
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"))
            .with_context(|| format!("systemd-nspawn has ended: {}", self.console()))?;
        let pid_namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = pid_namespace("self");
        // On its way up systemd-nspawn has another child, which still lives in the host's namespaces.
        let leader = children.split_whitespace().find(|pid| {
            let namespace = pid_namespace(pid);
            namespace.is_some() && namespace != own
        });
        leader.context("systemd-nspawn is on its way")?.parse().context("a pid is a number")
    }

    /// What the machine has printed on its console.
    pub(crate) fn console(&self) -> String {
        match content(&self.console) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(the console cannot be read: {error})"),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
