//! The orchestrator of a cluster, and what it says.

use machine::wait_for;

use crate::{Cluster, DEADLINE, Process};

/// Its unit.
const SERVICE: &str = "app-cluster.service";

impl Cluster {
    /// `app-cluster status --json`.
    ///
    /// # Panics
    /// When it fails or is no JSON.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> api::Status {
        match self.try_status() {
            Ok(status) => status,
            Err(error) => panic!("{error}"),
        }
    }

    /// `app-cluster status --json`, if it succeeds.
    ///
    /// # Errors
    /// When it does not, with everything it said.
    #[track_caller]
    pub fn try_status(&self) -> Result<api::Status, String> {
        let output = self.app_cluster(["status", "--json"]);
        let status = serde_json::from_str(output.any_stdout());
        status.map_err(|error| format!("the status cannot be read: {error}\n{output}"))
    }

    /// Waits until systemd has no job of the orchestrator's unit: no reload runs, no start, no stop.
    #[track_caller]
    pub fn until_at_rest(&self) {
        wait_for("the orchestrator at rest", DEADLINE, || {
            let state = ["ActiveState", "Job"].map(|property| self.show(SERVICE, property));
            if state == ["active", ""] { Ok(()) } else { Err(state.join(" ")) }
        });
    }

    /// The orchestrator's process, as the machine numbers it.
    #[track_caller]
    #[must_use]
    pub fn orchestrator_pid(&self) -> u32 {
        self.main_pid(SERVICE)
    }

    /// The orchestrator's process.
    #[track_caller]
    #[must_use]
    pub fn orchestrator(&self) -> Process {
        Process::of(self, self.orchestrator_pid())
    }
}
