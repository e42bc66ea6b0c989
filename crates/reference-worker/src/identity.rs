//! The identity of this worker.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// The version of the source.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The identity in the body of `GET /`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Identity {
    /// The instance number: 3 for `worker@3.service`; null if the unit does not set it.
    pub(crate) instance: Option<u32>,
    pub(crate) pid: u32,
    pub(crate) version: &'static str,
    pub(crate) release: String,
}

impl Identity {
    pub(crate) fn new(instance: Option<u32>) -> Self {
        // The kernel tells where the link led when the process started, not where it leads now.
        let program = std::env::current_exe().unwrap_or_default();
        let release = release_of(&program).unwrap_or(VERSION).to_owned();
        Self { instance, pid: std::process::id(), version: VERSION, release }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Some(instance) => write!(f, "worker {instance}")?,
            None => f.write_str("a worker without a number")?,
        }
        write!(f, ", release {}, version {}, pid {}", self.release, self.version, self.pid)
    }
}

/// The release that a program belongs to: `1.2.0` for `…/releases/1.2.0/worker`.
fn release_of(program: &Path) -> Option<&str> {
    let directory = program.parent()?;
    let releases = directory.parent()?;
    (releases.file_name()? == "releases").then(|| directory.file_name()?.to_str())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_the_directory_under_releases() {
        let release = |path: &'static str| release_of(Path::new(path));
        assert_eq!(release("/var/lib/app-cluster/releases/1.2.0/worker"), Some("1.2.0"));
        assert_eq!(release("/var/lib/app-cluster/releases/1.2.0/worker (deleted)"), Some("1.2.0"));
        assert_eq!(release("/usr/lib/app-cluster/release/worker"), None);
        assert_eq!(release("worker"), None);
    }
}
