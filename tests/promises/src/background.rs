//! Commands of a machine that run while the test goes on, until they are killed with all they started.

use machine::wait_for;

use crate::{Cluster, DEADLINE};

/// A command that systemd runs in a unit of its own.
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

    /// Kills it and all it started with SIGKILL.
    ///
    /// # Panics
    /// When it has ended already.
    #[track_caller]
    pub fn kill(self) {
        self.cluster.systemctl(["kill", "--signal=SIGKILL", &self.unit]).assert_success();
        let result = self.end();
        assert_eq!(result, "signal", "{} ended before it could be killed", self.unit);
    }

    /// Waits until no process of it is left; returns systemd's `Result`.
    #[track_caller]
    fn end(&self) -> String {
        wait_for(&format!("the end of {}", self.unit), DEADLINE, || {
            let [sub, result] = ["SubState", "Result"].map(|name| self.cluster.show(&self.unit, name));
            if ["exited", "failed", "dead"].contains(&sub.as_str()) { Ok(result) } else { Err(sub) }
        })
    }
}
