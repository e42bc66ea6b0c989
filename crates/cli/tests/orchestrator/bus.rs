//! A private bus.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A private `dbus-daemon`. It ends when this is dropped.
pub(crate) struct Bus {
    daemon: Child,
    pub(crate) address: String,
    pub(crate) dir: TempDir,
}

impl Bus {
    /// A bus on which every user may do everything except `denied`, a list of `<deny …/>`.
    pub(crate) fn start(denied: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let listen = format!("unix:path={}", dir.path().join("bus").display());
        // The policy of the session bus, and what is denied.
        let policy = format!(
            "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>{denied}"
        );
        fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>{listen}</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\">{policy}</policy></busconfig>"
            ),
        )
        .unwrap();
        let complaints = dir.path().join("complaints");
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address", "--config-file"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(File::create(&complaints).unwrap())
            .spawn()
            .expect("dbus-daemon is needed, from the package dbus-daemon");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(!address.is_empty(), "dbus-daemon: {}", fs::read_to_string(complaints).unwrap());
        Self { daemon, address: address.trim().to_owned(), dir }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
