//! A machine with app-cluster installed.

use std::{fs, ops::Deref};

use machine::{Boot, Machine, Output, Suite};

use crate::{
    Flaw, Load, Mode, Package,
    release::{self, Flawed},
};

/// The settings of most tests: as many workers as promised, and a short settle.
const SETTINGS: &str = "workers = 4\n[rollout]\nsettle = \"200ms\"\n";

/// A booted machine with app-cluster installed. It dereferences to the [`Machine`].
#[derive(Debug)]
pub struct Cluster {
    machine: Machine,
}

impl Deref for Cluster {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Cluster {
    /// The address in the shipped unit.
    const ADDRESS: &str = "127.0.0.1:8080";

    /// Boots a machine on which apt has installed the new package, and waits until four workers serve.
    ///
    /// Nearly every promise starts this way. The installation is the same for all of them, so it is done
    /// once.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[must_use]
    pub fn installed(suite: Suite) -> Self {
        // This file and `Boot` contain everything that changes the machine.
        let key =
            (fs::read(Package::New.path()).expect("the package can be read"), include_str!("cluster.rs"));
        let prepared = Boot::new(suite).start_prepared("app-cluster", &key, |machine| {
            let cluster = Self { machine };
            cluster.set_up(Package::New);
            cluster.shell("rm /tmp/*.deb").assert_success();
            cluster.machine
        });
        match prepared {
            Ok(machine) => {
                let cluster = Self { machine };
                cluster.until_whole();
                cluster
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Boots a machine, installs this version of the package with apt, and waits until four workers serve.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[must_use]
    pub fn installed_from(suite: Suite, package: Package) -> Self {
        Self::installed_on(suite, package, |_| ())
    }

    /// Like [`installed_from`](Self::installed_from), on a machine that `prepare` has changed first.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[must_use]
    pub fn installed_on(suite: Suite, package: Package, prepare: impl FnOnce(&Self)) -> Self {
        let cluster = Self { machine: Machine::boot(suite) };
        prepare(&cluster);
        cluster.set_up(package);
        cluster
    }

    #[track_caller]
    pub(crate) fn installed_in(machine: Machine, package: Package) -> Self {
        let cluster = Self { machine };
        cluster.set_up(package);
        cluster
    }

    /// Like [`installed_from`](Self::installed_from), on a machine that keeps its files over a reboot.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[must_use]
    pub fn installed_to_last(suite: Suite, package: Package) -> Self {
        match Boot::new(suite).lasting().start() {
            Ok(machine) => Self::installed_in(machine, package),
            Err(error) => panic!("{error:?}"),
        }
    }

    #[track_caller]
    fn set_up(&self, package: Package) {
        self.configure(SETTINGS);
        self.install(&package.path()).assert_success();
        self.until_whole();
    }

    /// Reboots the machine and waits until it has booted.
    ///
    /// # Panics
    /// If it does not boot.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.machine.reboot();
    }

    /// Installs the package on a machine without any configuration.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    #[must_use]
    pub fn installed_without_settings(suite: Suite) -> Self {
        let cluster = Self { machine: Machine::boot(suite) };
        cluster.install(&Package::New.path()).assert_success();
        cluster.until_it_answers();
        cluster
    }

    /// Installs a package whose worker has this flaw. Returns apt's output and the version.
    #[track_caller]
    pub fn install_flawed(&self, flaw: Flaw) -> (Output, String) {
        let Flawed { version, path, .. } = &release::flawed(flaw);
        (self.install(path), version.clone())
    }

    /// Writes the settings. They take effect with a reload.
    #[track_caller]
    pub fn configure(&self, settings: &str) {
        self.write_file("/etc/app-cluster/conf.d/50-promise.toml", settings);
    }

    /// Gives a unit a drop-in, as `systemctl edit` does.
    #[track_caller]
    pub fn edit(&self, unit: &str, section: &str, lines: &str) {
        self.write_file(&drop_in(unit), &format!("[{section}]\n{lines}\n"));
        self.systemctl(["daemon-reload"]).assert_success();
    }

    /// Removes the drop-in.
    #[track_caller]
    pub fn revert(&self, unit: &str) {
        self.run(["rm", &drop_in(unit)]).assert_success();
        self.systemctl(["daemon-reload"]).assert_success();
    }

    /// Starts a load.
    #[track_caller]
    pub fn load(&self, mode: Mode) -> Load {
        self.load_of(mode, mode.connections())
    }

    /// Starts a load with another number of connections.
    #[track_caller]
    pub fn load_of(&self, mode: Mode, connections: u64) -> Load {
        self.load_at(Self::ADDRESS, mode, connections)
    }

    /// Like [`load_of`](Self::load_of), through a proxy in the machine that listens on `address`.
    #[track_caller]
    pub fn load_at(&self, address: &str, mode: Mode, connections: u64) -> Load {
        let mut load = Load::start(self, address, mode, connections);
        load.until(1);
        load
    }

    /// Starts a load to which no worker may answer yet.
    #[track_caller]
    pub fn load_unanswered(&self, mode: Mode) -> Load {
        Load::start(self, Self::ADDRESS, mode, mode.connections())
    }

    /// Runs `systemctl reload app-cluster`, which must succeed.
    #[track_caller]
    pub fn reload(&self) {
        self.try_reload().assert_success();
    }

    /// Runs `systemctl reload app-cluster`, which may fail.
    #[track_caller]
    pub fn try_reload(&self) -> Output {
        self.systemctl(["reload", "app-cluster"])
    }

    /// Runs `systemctl reload app-cluster` without waiting for its end.
    #[track_caller]
    pub fn begin_reload(&self) {
        self.systemctl(["reload", "--no-block", "app-cluster"]).assert_success();
    }

    /// Runs the command line tool as root.
    #[track_caller]
    pub fn app_cluster<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Output {
        self.run(["app-cluster"].into_iter().chain(arguments))
    }

    /// Runs a command as this user.
    #[track_caller]
    pub fn run_as(&self, user: &str, argv: &[&str]) -> Output {
        self.run(["runuser", "-u", user, "--"].iter().chain(argv))
    }
}

fn drop_in(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.d/50-promise.conf")
}
