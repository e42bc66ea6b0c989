//! File systems that a test fills up or makes read-only, as they become in life.

use std::os::fd::AsFd;

use machine::Machine;
use rustix::{
    fs::CWD,
    mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick},
};

use crate::Cluster;

/// A file system of its own for one directory of a cluster.
///
/// Services have mount namespaces of their own, and what happens to a file system itself happens in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    directory: &'static str,
}

impl Disk {
    /// The one that holds the releases.
    pub const VAR: Self = Self { directory: "/var/lib/app-cluster" };
    /// The one that holds what an orchestrator leaves to the next one.
    pub const RUN: Self = Self { directory: "/run/app-cluster" };

    /// The directory on which it is mounted.
    #[must_use]
    pub fn directory(self) -> &'static str {
        self.directory
    }

    /// Mounts it, before the package is installed.
    #[track_caller]
    pub fn mount(self, machine: &Machine) {
        mount_tmpfs(machine, self.directory);
        if self == Self::RUN {
            // Workers have the scoreboard open for writing, and the kernel makes no file system read-only that is in use.
            mount_tmpfs(machine, "/run/app-cluster/scoreboard");
        }
    }

    /// Leaves no room on it.
    #[track_caller]
    pub fn fill(self, cluster: &Cluster) {
        let full = cluster.shell(&format!("cat /dev/zero >{}/filler", self.directory));
        full.assert_failure().assert_says("No space left on device");
    }

    /// Makes room again.
    #[track_caller]
    pub fn make_room(self, cluster: &Cluster) {
        cluster.run(["rm", &format!("{}/filler", self.directory)]).assert_success();
    }

    /// Makes it read-only, as the kernel does with a file system that has errors.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[track_caller]
    pub fn make_read_only(self, cluster: &Cluster) {
        self.try_to_make_read_only(cluster).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Makes it read-only, if no process writes to a file on it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn try_to_make_read_only(self, cluster: &Cluster) -> Result<(), String> {
        self.reconfigure(cluster, "ro")
    }

    /// Makes it writable again.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[track_caller]
    pub fn make_writable(self, cluster: &Cluster) {
        self.reconfigure(cluster, "rw").unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sets a flag of the file system and of no mount: mount(8) would set it for its own mount as well, and services
    /// that are started meanwhile keep a copy of that.
    fn reconfigure(self, cluster: &Cluster, flag: &str) -> Result<(), String> {
        let path = format!("/proc/{}/root{}", cluster.leader(), self.directory);
        let done = fspick(CWD, path, FsPickFlags::FSPICK_CLOEXEC).and_then(|filesystem| {
            fsconfig_set_flag(filesystem.as_fd(), flag)?;
            fsconfig_reconfigure(filesystem.as_fd())
        });
        done.map_err(|error| format!("failed to make {} {flag}: {error}", self.directory))
    }
}

#[track_caller]
fn mount_tmpfs(machine: &Machine, directory: &str) {
    machine.run(["mkdir", "-p", directory]).assert_success();
    machine.run(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", directory]).assert_success();
}
