//! The orchestrator of a cluster and its output.

use std::collections::BTreeMap;

use api::Counters;
use machine::wait_for;
use serde_json::Value;

use crate::{Cluster, DEADLINE, Process, artifacts};

/// The orchestrator's unit.
const SERVICE: &str = "app-cluster.service";
/// The file in which the tests' orchestrator reads whether to crash.
const FAULT_POINT: &str = "/run/app-cluster/fault-point";

impl Cluster {
    /// The output of `app-cluster status --json`.
    ///
    /// # Panics
    /// If the command fails, or the output is not JSON.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> api::Status {
        match self.try_status() {
            Ok(status) => status,
            Err(error) => panic!("{error}"),
        }
    }

    /// The output of `app-cluster status --json`, if the command succeeds.
    ///
    /// # Errors
    /// If the command fails, with all of its output.
    #[track_caller]
    pub fn try_status(&self) -> Result<api::Status, String> {
        let output = self.app_cluster(["status", "--json"]);
        let status = serde_json::from_str(output.any_stdout());
        status.map_err(|error| format!("the status cannot be read: {error}\n{output}"))
    }

    /// The counters of each worker that has some, from `app-cluster status --json`, run by a user without
    /// rights.
    ///
    /// # Panics
    /// If the command fails, or the output is not as expected.
    #[track_caller]
    #[must_use]
    pub fn counters(&self) -> BTreeMap<u32, Counters> {
        let output = self.run_as("nobody", &["app-cluster", "status", "--json"]);
        let status: Value = serde_json::from_str(output.stdout()).expect("it is JSON");
        let workers = status["workers"].as_array().expect("there are workers");
        let counters = |worker: &Value| {
            let counters: Option<Counters> =
                serde_json::from_value(worker["counters"].clone()).expect("they are complete");
            counters.map(|counters| (counters.instance, counters))
        };
        workers.iter().filter_map(counters).collect()
    }

    /// Replaces the orchestrator by one that crashes where the test says so.
    #[track_caller]
    pub fn replace_orchestrator_by_a_mortal_one(&self) {
        const PROGRAM: &str = "/usr/libexec/app-cluster/orchestrator";
        self.run(["rm", PROGRAM]).assert_success();
        self.copy_in(&artifacts::mortal_orchestrator(), PROGRAM);
        self.systemctl(["restart", "app-cluster"]).assert_success();
    }

    /// Lets the orchestrator crash, as by `kill -9`, when it passes this point for the nth time from now on.
    #[track_caller]
    pub fn let_orchestrator_die_at(&self, point: &str, time: u32) {
        self.write_file(FAULT_POINT, &format!("{point} {time}\n"));
        self.run(["chown", "app-cluster:", FAULT_POINT]).assert_success();
    }

    /// Whether the orchestrator has not passed that point yet.
    #[track_caller]
    #[must_use]
    pub fn is_orchestrator_to_die(&self) -> bool {
        self.run(["test", "-e", FAULT_POINT]).status().success()
    }

    /// Waits until systemd has no job for the orchestrator's unit: no reload, start or stop runs.
    #[track_caller]
    pub fn until_at_rest(&self) {
        wait_for("the orchestrator at rest", DEADLINE, || {
            let state = ["ActiveState", "Job"].map(|property| self.show(SERVICE, property));
            if state == ["active", ""] { Ok(()) } else { Err(state.join(" ")) }
        });
    }

    /// The orchestrator's pid in the machine.
    #[track_caller]
    #[must_use]
    pub fn orchestrator_pid(&self) -> u32 {
        self.main_pid(SERVICE)
    }

    /// Kills the orchestrator (SIGKILL), and waits until systemd has seen its end.
    #[track_caller]
    pub fn kill_orchestrator(&self) {
        let killed = self.orchestrator_pid();
        Process::of(self, killed).kill();
        wait_for("systemd to see the end of the orchestrator", DEADLINE, || match self.orchestrator_pid() {
            pid if pid == killed => Err(pid),
            _ => Ok(()),
        });
    }

    /// The orchestrator's process.
    #[track_caller]
    #[must_use]
    pub fn orchestrator(&self) -> Process {
        Process::of(self, self.orchestrator_pid())
    }
}
