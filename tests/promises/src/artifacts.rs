//! The tested packages and programs, named by environment variables.

use std::{env, ffi::OsString, fmt, path::PathBuf, process::Command};

/// One of the two versions of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// The version to upgrade from.
    Old,
    /// The version to upgrade to. All other promises test it.
    New,
}

impl Package {
    /// The path of the package file.
    ///
    /// # Panics
    /// If the environment does not name one.
    #[must_use]
    pub fn path(self) -> PathBuf {
        file(match self {
            Self::Old => "APP_CLUSTER_DEB_OLD",
            Self::New => "APP_CLUSTER_DEB_NEW",
        })
    }

    /// The version in the package.
    ///
    /// # Panics
    /// If the file is not a package.
    #[must_use]
    pub fn version(self) -> String {
        let output = Command::new("dpkg-deb").arg("--field").arg(self.path()).arg("Version").output();
        let output = output.expect("dpkg-deb can be run");
        assert!(output.status.success(), "{self} is no Debian package");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path().display())
    }
}

/// The strict client.
pub(crate) fn client() -> PathBuf {
    file("APP_CLUSTER_CLIENT")
}

/// The attacking clients.
pub(crate) fn attacker() -> PathBuf {
    file("APP_CLUSTER_ATTACKER")
}

/// The program with which users of the machine attack the orchestrator.
pub(crate) fn caller() -> PathBuf {
    attacker().with_file_name("caller")
}

/// An orchestrator that crashes where a test says so.
pub(crate) fn mortal_orchestrator() -> PathBuf {
    file("APP_CLUSTER_MORTAL_ORCHESTRATOR")
}

fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(variable(name));
    assert!(path.is_file(), "{name} names {}, which is not a file", path.display());
    path
}

pub(crate) fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set; `cargo xtask test` sets it"))
}
