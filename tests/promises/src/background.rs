//! Commands that run in a machine while the test continues. A test kills them together with their children.

use machine::wait_for;

use crate::{Cluster, DEADLINE};

/// A command that systemd runs in its own unit.
#[derive(Debug)]
pub struct Background<'a> {
    cluster: &'a Cluster,
    unit: String,
}

impl Cluster {
    /// Starts a command in the machine and returns while it runs.
    #[track_caller]
    pub fn begin<'a>(&'a self, name: &str, argv: &[&str]) -> Background<'a> {
        let unit = format!("{name}.service");
        let run = ["systemd-run", "--quiet", "--remain-after-exit", "--unit", &unit, "--"];
        self.run([&run[..], argv].concat()).assert_success();
        Background { cluster: self, unit }
    }
}

impl Background<'_> {
    /// Sends this signal to its main process.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let signal = format!("--signal={signal}");
        self.cluster.systemctl(["kill", "--kill-whom=main", &signal, &self.unit]).assert_success();
    }

    /// Kills the command and its children with SIGKILL.
    ///
    /// # Panics
    /// If it has already ended.
    #[track_caller]
    pub fn kill(self) {
        self.cluster.systemctl(["kill", "--signal=SIGKILL", &self.unit]).assert_success();
        let result = self.end();
        assert_eq!(result, "signal", "{} ended before it could be killed", self.unit);
    }

    /// Waits until none of its processes is left. Returns systemd's `Result`.
    #[track_caller]
    fn end(&self) -> String {
        wait_for(&format!("the end of {}", self.unit), DEADLINE, || {
            let [sub, result] = ["SubState", "Result"].map(|name| self.cluster.show(&self.unit, name));
            if ["exited", "failed", "dead"].contains(&sub.as_str()) { Ok(result) } else { Err(sub) }
        })
    }
}
