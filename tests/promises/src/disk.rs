//! File systems that a test fills up or makes read-only, as happens in production.

use std::os::fd::AsFd;

use machine::Machine;
use rustix::{
    fs::CWD,
    mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick},
};

use crate::Cluster;

/// A separate file system for one directory of a cluster.
///
/// Each service has its own mount namespace. But a change of the file system itself is visible in all of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    directory: &'static str,
}

impl Disk {
    /// The file system with the releases.
    pub const VAR: Self = Self { directory: "/var/lib/app-cluster" };
    /// The file system with the state that an orchestrator leaves to the next one.
    pub const RUN: Self = Self { directory: "/run/app-cluster" };

    /// The directory where it is mounted.
    #[must_use]
    pub fn directory(self) -> &'static str {
        self.directory
    }

    /// Mounts it. Call this before the package is installed.
    #[track_caller]
    pub fn mount(self, machine: &Machine) {
        mount_tmpfs(machine, self.directory);
        if self == Self::RUN {
            // Workers have the scoreboard open for writing. The kernel does not make a file system read-only
            // while a file is open for writing.
            mount_tmpfs(machine, "/run/app-cluster/scoreboard");
        }
    }

    /// Fills it up.
    #[track_caller]
    pub fn fill(self, cluster: &Cluster) {
        let full = cluster.shell(&format!("cat /dev/zero >{}/filler", self.directory));
        full.assert_failure().assert_says("No space left on device");
    }

    /// Frees the space again.
    #[track_caller]
    pub fn make_room(self, cluster: &Cluster) {
        cluster.run(["rm", &format!("{}/filler", self.directory)]).assert_success();
    }

    /// Makes it read-only, as the kernel does with a file system that has errors.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn make_read_only(self, cluster: &Cluster) {
        self.try_to_make_read_only(cluster).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Makes it read-only, if no process writes to a file on it.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn try_to_make_read_only(self, cluster: &Cluster) -> Result<(), String> {
        self.reconfigure(cluster, "ro")
    }

    /// Makes it writable again.
    ///
    /// # Panics
    /// If the kernel refuses.
    #[track_caller]
    pub fn make_writable(self, cluster: &Cluster) {
        self.reconfigure(cluster, "rw").unwrap_or_else(|error| panic!("{error}"));
    }

    /// Sets a flag of the file system and not of a mount. mount(8) would set it for its own mount as well,
    /// and services that start meanwhile would keep a copy of that mount.
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
