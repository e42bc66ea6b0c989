//! Programs to deploy, and their deployment.

use machine::{Output, wait_for};

use crate::{Cluster, DEADLINE};

/// The worker in the package. It is a sound program, which tests deploy under other names.
pub const GOOD: &str = "/usr/lib/app-cluster/release/worker";

impl Cluster {
    /// Writes a program.
    #[track_caller]
    pub fn write_program(&self, path: &str, text: &str) {
        self.write_file(path, text);
        self.run(["chmod", "755", path]).assert_success();
    }

    /// Runs `app-cluster deploy` with this program under this name. It may fail.
    #[track_caller]
    pub fn deploy(&self, path: &str, id: &str) -> Output {
        self.app_cluster(["deploy", path, "--id", id])
    }

    /// The releases, newest first.
    ///
    /// # Panics
    /// If `app-cluster releases --json` fails.
    #[track_caller]
    #[must_use]
    pub fn known_releases(&self) -> Vec<api::Release> {
        self.told_by_releases("releases")
    }

    /// The past rollouts, newest first.
    ///
    /// # Panics
    /// If `app-cluster releases --json` fails.
    #[track_caller]
    #[must_use]
    pub fn history(&self) -> Vec<api::Entry> {
        self.told_by_releases("history")
    }

    #[track_caller]
    fn told_by_releases<T: serde::de::DeserializeOwned>(&self, what: &str) -> T {
        // The orchestrator may be restarting.
        wait_for("an answer", DEADLINE, || {
            let output = self.app_cluster(["releases", "--json"]);
            let told = serde_json::from_str::<serde_json::Value>(output.any_stdout());
            let told = told.and_then(|mut told| serde_json::from_value(told[what].take()));
            told.map_err(|error| format!("{error}\n{output}"))
        })
    }
}
