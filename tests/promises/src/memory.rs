//! A memory limit for one worker.

use std::{fs, path::PathBuf};

use crate::{Cluster, Process};

/// A limit on the memory of one worker, for as long as this value lives. If the worker needs more, the kernel
/// kills it.
#[derive(Debug)]
#[must_use = "dropped, it ends at once"]
pub struct MemoryLimit {
    /// A cgroup made by the test, on hosts whose memory is not accounted where systemd looks (cgroups(7),
    /// version 1).
    own: Option<PathBuf>,
}

impl Cluster {
    /// Limits a worker's memory to this many mebibytes.
    ///
    /// # Panics
    /// If the host has no way to do that.
    #[track_caller]
    pub fn limit_memory(&self, instance: u32, mebibytes: u64) -> MemoryLimit {
        let controllers = self.run(["cat", "/sys/fs/cgroup/cgroup.controllers"]);
        if controllers.stdout().split(' ').any(|name| name == "memory") {
            let (unit, limit) = (format!("worker@{instance}.service"), format!("MemoryMax={mebibytes}M"));
            self.systemctl(["set-property", "--runtime", &unit, &limit]).assert_success();
            return MemoryLimit { own: None };
        }
        let process = Process::of(self, self.worker(instance).pid);
        let own = PathBuf::from(format!("/sys/fs/cgroup/memory/app-cluster-{}", process.number()));
        fs::create_dir(&own).expect("memory can be limited by a cgroup");
        fs::write(own.join("memory.limit_in_bytes"), format!("{mebibytes}M")).expect("a limit can be set");
        fs::write(own.join("cgroup.procs"), process.number().to_string()).expect("a process can be moved");
        MemoryLimit { own: Some(own) }
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            // The worker may have survived. A cgroup can be removed only if it has no process.
            for process in fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default().lines() {
                let _ = fs::write("/sys/fs/cgroup/memory/cgroup.procs", process);
            }
            let _ = fs::remove_dir(own);
        }
    }
}
