//! The names of a cluster's units and directories. No other code spells them out.
//!
//! - [`Instance`]: the number of a worker.
//! - [`Names`]: a cluster's name, and every name derived from it.

mod instance;

use std::path::PathBuf;

pub use instance::Instance;

/// A cluster's name, and every name derived from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The cluster's name: `app-cluster`.
    pub cluster: String,
    /// The orchestrator's unit.
    pub service: String,
    /// The target unit that the socket, the orchestrator and the workers are part of.
    pub target: String,
    /// The unit of the listening socket that all workers share.
    pub socket: String,
    /// The name of the workers' template unit, without `@`.
    pub template: String,
    /// The directory of the releases and of the link to the current release.
    pub state_dir: PathBuf,
    /// The directory of files that outlive the orchestrator but not a reboot.
    pub runtime_dir: PathBuf,
    /// The release that the package installs.
    pub packaged: PathBuf,
    /// The scoreboard: the file in which the workers count.
    pub scoreboard: PathBuf,
}

impl Names {
    /// The names of the cluster that the package installs.
    pub fn packaged() -> Self {
        let cluster = "app-cluster";
        let runtime_dir = PathBuf::from("/run").join(cluster);
        Self {
            cluster: cluster.to_owned(),
            service: format!("{cluster}.service"),
            target: format!("{cluster}.target"),
            socket: format!("{cluster}.socket"),
            template: "worker".to_owned(),
            state_dir: PathBuf::from("/var/lib").join(cluster),
            scoreboard: runtime_dir.join("scoreboard/board.v1"),
            runtime_dir,
            packaged: PathBuf::from("/usr/lib").join(cluster).join("release"),
        }
    }

    /// The name of a worker's unit: `worker@3.service`.
    pub fn unit(&self, instance: Instance) -> String {
        format!("{}@{}.service", self.template, instance.number())
    }

    /// The pattern that matches the units of all workers: `worker@*.service`. systemctl(1) describes patterns
    /// under "Parameter Syntax".
    pub fn all_units(&self) -> String {
        format!("{}@*.service", self.template)
    }

    /// The instance that a unit's name stands for, if the unit is one of our workers.
    pub fn instance(&self, unit: &str) -> Option<Instance> {
        let number = unit.strip_prefix(&self.template)?.strip_prefix('@')?.strip_suffix(".service")?;
        let instance = number.parse().ok().and_then(Instance::new)?;
        // For systemd, worker@03 and worker@3 are two units.
        (self.unit(instance) == unit).then_some(instance)
    }

    /// The symbolic link to the release that an instance executes. `ExecStart=` of the worker's unit goes
    /// through it.
    pub fn link(&self, instance: Instance) -> PathBuf {
        self.links().join(instance.number().to_string())
    }

    /// The directory of these links.
    pub fn links(&self) -> PathBuf {
        self.runtime_dir.join("instances")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_instances() {
        let names = Names::packaged();
        let three = Instance::new(3).unwrap();
        assert_eq!(names.unit(three), "worker@3.service");
        assert_eq!(names.instance("worker@3.service"), Some(three));
        for other in
            ["worker@03.service", "worker@0.service", "worker@a.service", "worker@.service", "x@3.service"]
        {
            assert_eq!(names.instance(other), None, "{other}");
        }
    }
}
