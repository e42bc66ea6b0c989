//! Attacks on a cluster.

use std::time::Duration;

use attacker::{Attack, Report};
use machine::wait_for;

use crate::{Background, Cluster, DEADLINE, artifacts};

impl Cluster {
    /// Lets `clients` clients attack for `seconds` seconds, calls `look` again and again, and returns the
    /// report.
    ///
    /// # Panics
    /// If the attackers give no report.
    #[track_caller]
    pub fn attack(&self, attack: Attack, clients: u64, seconds: u64, mut look: impl FnMut()) -> Report {
        let deadline = Duration::from_secs(seconds) + DEADLINE;
        let [name, clients, seconds] = [attack.to_string(), clients.to_string(), seconds.to_string()];
        let arguments = [&name, "--clients", &clients, "--seconds", &seconds];
        let mut running = self.spawn_in_network(&artifacts::attacker(), arguments);
        wait_for("the end of the attack", deadline, || {
            look();
            if running.has_ended() { Ok(()) } else { Err(running.text_so_far()) }
        });
        let output = running.wait();
        match serde_json::from_str(output.any_stdout()) {
            Ok(report) => report,
            Err(error) => panic!("the attackers gave no report: {error}\n{output}"),
        }
    }

    /// Lets `user` call the orchestrator without end, with this many descriptors in each call.
    #[track_caller]
    pub fn flood_with_calls(&self, user: &str, descriptors: u32) -> Background<'_> {
        const PROGRAM: &str = "/usr/local/bin/caller";
        if !self.run(["test", "-x", PROGRAM]).status().success() {
            self.copy_in(&artifacts::caller(), PROGRAM);
        }
        let descriptors = descriptors.to_string();
        let flood = [PROGRAM, "--seconds", "600", "--descriptors", &descriptors];
        self.begin(&format!("caller-{user}"), &[&["runuser", "-u", user, "--"], &flood[..]].concat())
    }
}
