//! The process that runs one machine and ends it when its owner is gone.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{cgroup, running::content};

/// A running `systemd-nspawn` and its supervisor. Dropping this ends both, and with them the machine.
#[derive(Debug)]
pub(crate) struct Supervisor {
    process: Child,
    /// The pid of systemd-nspawn at every boot.
    pids: BufReader<ChildStdout>,
    nspawn: u32,
    console: File,
    /// The mount point of the machine's root, visible only to the supervisor.
    _root: Option<TempDir>,
}

impl Supervisor {
    /// Starts the machine `name` with these arguments for systemd-nspawn(1).
    pub(crate) fn start(name: &str, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("supervisor.sh"), "supervisor"]);
        Self::run(command, name, arguments, None)
    }

    /// Like [`start`](Self::start), on a layer over `tree` that lasts as long as the supervisor.
    pub(crate) fn start_lasting(name: &str, tree: &Path, arguments: &[String]) -> Result<Self> {
        let root = tempfile::tempdir().context("failed to make a directory for the root")?;
        let layer = root.path().display();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation=slave", "sh", "-c"])
            .arg(format!("{}\n{}", include_str!("layer.sh"), include_str!("supervisor.sh")))
            .arg("supervisor")
            .env("TREE", tree)
            .env("LAYER", root.path());
        let directory = [format!("--directory={layer}/root")];
        Self::run(command, name, &[&directory[..], arguments].concat(), Some(root))
    }

    fn run(mut command: Command, name: &str, arguments: &[String], root: Option<TempDir>) -> Result<Self> {
        let console = tempfile::tempfile().context("failed to make a file for the console")?;
        // A systemd host gives the payload a scope of its own. On other hosts nothing does.
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
            // Ctrl-C on the terminal is for the test, not for the machine.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console.try_clone()?)
            .spawn()
            .context("failed to start the supervisor")?;
        let pids = process.stdout.take().map(BufReader::new).context("the supervisor has no output")?;
        let mut supervisor = Self { process, pids, nspawn: 0, console, _root: root };
        supervisor.read_pid()?;
        Ok(supervisor)
    }

    /// Starts a machine again that is powering off, once it has ended.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let orders = self.process.stdin.as_mut().context("the supervisor has no input")?;
        orders.write_all(b"\n").context("the supervisor has ended")?;
        self.read_pid()
    }

    fn read_pid(&mut self) -> Result<()> {
        let mut line = String::new();
        self.pids.read_line(&mut line)?;
        match line.trim().parse() {
            Ok(pid) => self.nspawn = pid,
            Err(_) => bail!("failed to start systemd-nspawn: {}", self.console()),
        }
        Ok(())
    }

    /// The pid of the machine's PID 1 on the host.
    ///
    /// # Errors
    /// If there is none (yet), with the reason.
    pub(crate) fn leader(&self) -> Result<u32> {
        let nspawn = self.nspawn;
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"))
            .with_context(|| format!("systemd-nspawn has ended: {}", self.console()))?;
        let pid_namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = pid_namespace("self");
        // While it starts, systemd-nspawn has another child, which is still in the host's namespaces.
        let leader = children.split_whitespace().find(|pid| {
            let namespace = pid_namespace(pid);
            namespace.is_some() && namespace != own
        });
        leader.context("systemd-nspawn is starting")?.parse().context("a pid is a number")
    }

    /// The output on the machine's console.
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
