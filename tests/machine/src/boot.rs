//! How a machine boots.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{Machine, Suite, Tree, machine::enter, supervisor::Supervisor, wait};

/// The limit for a boot. It takes a second; the rest is for a very busy host.
pub(crate) const BOOT_DEADLINE: Duration = Duration::from_secs(120);

/// The network of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A private network with only a loopback interface.
    Private,
    /// The host's network: a service on the machine's localhost listens on the host's.
    Host,
}

/// How to boot a machine.
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

    /// Written files survive a [reboot](Machine::reboot). They end with the machine.
    #[must_use]
    pub fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// Installs these Debian packages too. This uses a separate tree, made on first use.
    #[must_use]
    pub fn packages(self, packages: &[&'static str]) -> Self {
        Self { packages: packages.to_vec(), ..self }
    }

    /// Makes a directory of the host visible at this path inside, read-only.
    #[must_use]
    pub fn directory(mut self, host: &Path, inside: &'static str) -> Self {
        self.directories.push((host.to_owned(), inside));
        self
    }

    /// Boots the machine and waits until its systemd has finished the boot.
    ///
    /// # Errors
    /// If the tree cannot be made or the machine does not boot; the error includes its console.
    pub fn start(self) -> Result<Machine> {
        let tree = self.suite.tree_with(&self.packages)?;
        self.boot(Root::Of(tree))
    }

    /// Boots a machine that `prepare` has already changed. `prepare` runs once, in a machine whose disk then
    /// becomes the base of all machines with this name and key. The state is that after a reboot. `key` must
    /// contain everything that `prepare` depends on.
    ///
    /// # Errors
    /// Like [`start`](Self::start).
    ///
    /// # Panics
    /// If `prepare` panics.
    pub fn start_prepared(
        self,
        name: &str,
        key: &impl Hash,
        prepare: impl FnOnce(Machine) -> Machine,
    ) -> Result<Machine> {
        let mut hasher = DefaultHasher::new();
        // These files and the caller's key determine the preparation.
        let how = (include_str!("boot.rs"), include_str!("machine.rs"));
        (self.suite.recipe(), &self.packages, key, how).hash(&mut hasher);
        let name = format!("{}.{name}", self.suite);
        let tree = Tree::of(&name, hasher.finish(), |path| {
            eprintln!("machine: preparing {name} (once)");
            let base = self.suite.tree_with(&self.packages)?;
            copy(base.path(), path)?;
            prepare(self.clone().boot(Root::Writable(path))?).power_off()?;
            fs::write(path.join(IDENTITY), "").context("failed to forget the identity of the machine")
        })?;
        self.boot(Root::Of(tree))
    }

    fn boot(self, root: Root<'_>) -> Result<Machine> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("app-cluster-{}-{}-{number}", self.suite, process::id());
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
        let (supervisor, tree) = match root {
            Root::Of(tree) if self.lasting => {
                (Supervisor::start_lasting(&name, tree.path(), &arguments)?, Some(tree))
            }
            Root::Of(tree) => {
                let root = format!("--directory={}", tree.path().display());
                arguments.extend([root, "--volatile=overlay".to_owned()]);
                (Supervisor::start(&name, &arguments)?, Some(tree))
            }
            Root::Writable(path) => {
                arguments.push(format!("--directory={}", path.display()));
                (Supervisor::start(&name, &arguments)?, None)
            }
        };
        let leader = booted(&supervisor)
            .with_context(|| format!("failed to boot {name}; its console:\n{}", supervisor.console()))?;
        Ok(Machine::new(self.suite, leader, supervisor, tree))
    }
}

/// systemd writes a new identity into this file if it is empty (machine-id(5)).
const IDENTITY: &str = "etc/machine-id";

/// The file system of a machine.
enum Root<'a> {
    /// A tree, and a layer over it for writes.
    Of(Tree),
    /// This directory, which keeps the writes.
    Writable(&'a Path),
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp").args(["--archive", "--reflink=auto"]).args([from, to]).output();
    let output = output.context("failed to run cp")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "failed to copy {} to {}: {told}", from.display(), to.display());
    Ok(())
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
