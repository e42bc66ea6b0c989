//! What the cluster's units and directories are called: the one place that knows.

use std::path::PathBuf;

use rollout::Instance;

/// A cluster's name and all that follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The cluster's own name.
    pub(crate) cluster: String,
    /// The orchestrator's unit.
    pub(crate) service: String,
    /// The unit that socket, orchestrator and workers are part of.
    pub(crate) target: String,
    /// The unit of the shared socket.
    pub(crate) socket: String,
    /// The template of the workers, without `@`.
    pub(crate) template: String,
    /// Releases, and the link to the current one.
    pub(crate) state_dir: PathBuf,
    /// What has to survive the orchestrator but not a boot.
    pub(crate) runtime_dir: PathBuf,
    /// The release that the package brings.
    pub(crate) packaged: PathBuf,
    /// The board on which the workers count.
    pub(crate) scoreboard: PathBuf,
}

impl Names {
    /// The names of the cluster that the package installs.
    pub(crate) fn packaged() -> Self {
        let cluster = "app-cluster";
        Self {
            cluster: cluster.to_owned(),
            service: format!("{cluster}.service"),
            target: format!("{cluster}.target"),
            socket: format!("{cluster}.socket"),
            template: "worker".to_owned(),
            state_dir: directory("STATE_DIRECTORY", "/var/lib", cluster),
            runtime_dir: directory("RUNTIME_DIRECTORY", "/run", cluster),
            packaged: PathBuf::from("/usr/lib").join(cluster).join("release"),
            scoreboard: PathBuf::from(scoreboard::DEFAULT_PATH),
        }
    }

    /// Which boot this is, for the times of one say nothing in another: a random name in the directory that does
    /// not survive it. The kernel's own name for it is hidden from us (`ProcSubset=`).
    pub(crate) fn boot(&self) -> std::io::Result<String> {
        let path = self.runtime_dir.join("boot");
        if let Ok(name) = std::fs::read_to_string(&path) {
            return Ok(name);
        }
        let name = format!("{:016x}", random());
        crate::disk::write_atomically(&path, name.as_bytes())?;
        Ok(name)
    }

    /// `worker@3.service`
    pub(crate) fn unit(&self, instance: Instance) -> String {
        format!("{}@{}.service", self.template, instance.number())
    }

    /// The instance that a unit's name stands for, if it is one of our workers.
    pub(crate) fn instance(&self, unit: &str) -> Option<Instance> {
        let number = unit.strip_prefix(&self.template)?.strip_prefix('@')?.strip_suffix(".service")?;
        let instance = number.parse().ok().and_then(Instance::new)?;
        // worker@03 is another unit than worker@3.
        (self.unit(instance) == unit).then_some(instance)
    }
}

/// Any number. Without entropy it is 0.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u64::from_ne_bytes(bytes)
}

/// systemd tells a service where StateDirectory= and RuntimeDirectory= are (systemd.exec(5)).
fn directory(variable: &str, parent: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(parent).join(name), PathBuf::from)
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
