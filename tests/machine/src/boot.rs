//! How a machine comes up.

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

/// How long a machine may take to come up. It takes a second; this is for a host that is very busy.
pub(crate) const BOOT_DEADLINE: Duration = Duration::from_secs(120);

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
        let tree = self.suite.tree_with(&self.packages)?;
        self.boot(Root::Of(tree))
    }

    /// Boots a machine to which all that `prepare` does was done before: once, in a machine whose disk is what this one and
    /// all others with this name and key start from. It is as after a reboot. What `prepare` depends on belongs into `key`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Panics
    /// When `prepare` does.
    pub fn start_prepared(
        self,
        name: &str,
        key: &impl Hash,
        prepare: impl FnOnce(Machine) -> Machine,
    ) -> Result<Machine> {
        let mut hasher = DefaultHasher::new();
        // How it is prepared is in these files, and in what the caller names.
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

/// The file that systemd writes a new identity into when it is empty (machine-id(5)).
const IDENTITY: &str = "etc/machine-id";

/// What a machine sees as its file system.
enum Root<'a> {
    /// A tree, and a layer over it that takes what is written.
    Of(Tree),
    /// This directory, which keeps what is written.
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
