//! How a machine comes up.

use std::{
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use crate::{Machine, Suite, machine::enter, supervisor::Supervisor, wait};

/// How long a machine may take to come up. It takes a second; this is for a host that is very busy.
const BOOT_DEADLINE: Duration = Duration::from_secs(120);

/// The network a machine lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// One of its own, with nothing but a loopback interface.
    Private,
    /// The host's: what listens on the machine's localhost listens on the host's.
    Host,
}

/// How a machine is to be booted.
#[derive(Debug, Clone)]
pub struct Boot {
    suite: Suite,
    network: Network,
    lasting: bool,
    packages: Vec<&'static str>,
    directories: Vec<(PathBuf, &'static str)>,
}

impl Boot {
    /// A machine of this suite with a private network.
    #[must_use]
    pub fn new(suite: Suite) -> Self {
        Self {
            suite,
            network: Network::Private,
            lasting: false,
            packages: Vec::new(),
            directories: Vec::new(),
        }
    }

    /// Chooses the network.
    #[must_use]
    pub fn network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// What is written lasts over a [reboot](Machine::reboot); the end of the machine is the end of it too.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// Has these Debian packages too. Its tree is another one, made when it is first asked for.
    #[must_use]
    pub fn packages(self, packages: &[&'static str]) -> Self {
        Self { packages: packages.to_vec(), ..self }
    }

    /// Shows a directory of the host at this path inside, to be read only.
    #[must_use]
    pub fn directory(mut self, host: &Path, inside: &'static str) -> Self {
        self.directories.push((host.to_owned(), inside));
        self
    }

    /// Boots the machine and waits until its systemd has nothing left to do.
    ///
    /// # Errors
    /// When the tree cannot be made or the machine does not come up, with its console.
    pub fn start(self) -> Result<Machine> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("app-cluster-{}-{}-{number}", self.suite, process::id());
        let tree = self.suite.tree_with(&self.packages)?;
        let mut arguments = vec![
            format!("--hostname={}", self.suite),
            "--link-journal=no".to_owned(),
            "--timezone=off".to_owned(),
            "--resolv-conf=off".to_owned(),
            "--console=pipe".to_owned(),
            "--boot".to_owned(),
        ];
        if self.network == Network::Private {
            arguments.push("--private-network".to_owned());
        }
        for (host, inside) in &self.directories {
            arguments.push(format!("--bind-ro={}:{inside}", host.display()));
        }
        let supervisor = if self.lasting {
            Supervisor::start_lasting(&name, &tree, &arguments)?
        } else {
            let root = [format!("--directory={}", tree.display()), "--volatile=overlay".to_owned()];
            Supervisor::start(&name, &[&root[..], &arguments].concat())?
        };
        let leader = booted(&supervisor)
            .with_context(|| format!("failed to boot {name}; its console:\n{}", supervisor.console()))?;
        Ok(Machine::new(self.suite, leader, supervisor))
    }
}

/// Waits for the end of the boot and returns the machine's PID 1.
pub(crate) fn booted(supervisor: &Supervisor) -> Result<u32> {
    wait::poll("the end of the boot", BOOT_DEADLINE, || {
        let leader = supervisor.leader()?;
        let output = enter(leader, "systemctl").args(["is-system-running", "--wait"]).output()?;
        match String::from_utf8_lossy(&output.stdout).trim() {
            "running" | "degraded" => Ok(leader),
            state => Err(anyhow!("systemd is {state}")),
        }
    })
}
