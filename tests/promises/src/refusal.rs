//! Rollouts that are refused before they touch the first worker, and clusters that have recovered.

use crate::Cluster;

/// The exit status for a refused command: nothing was changed.
const REFUSED: i32 = 4;

impl Cluster {
    /// Asserts that both ways to reload are refused, that no worker is touched, and that the output contains
    /// all of these words. Returns the output.
    ///
    /// # Panics
    /// If one of these does not hold.
    #[track_caller]
    pub fn refuses_to_reload(&self, words: &[&str]) -> String {
        self.does_not_reload(REFUSED, words)
    }

    /// Asserts that both ways to reload fail, the tool with this exit status. No worker may be touched, and
    /// the output must contain all of these words. Returns the output.
    ///
    /// # Panics
    /// If one of these does not hold.
    #[track_caller]
    pub fn does_not_reload(&self, exit_code: i32, words: &[&str]) -> String {
        let before = self.workers();
        let reload = self.app_cluster(["reload"]);
        self.try_reload().assert_failure();
        assert_eq!(self.workers(), before, "a worker was touched\n{reload}");
        reload.assert_exit_code(exit_code);
        for words in words {
            reload.assert_says(words);
        }
        reload.text()
    }

    /// Asserts that a reload succeeds and replaces every worker's process.
    ///
    /// # Panics
    /// If that does not hold.
    #[track_caller]
    pub fn reloads_all(&self) {
        let before = self.until_whole();
        self.until_at_rest();
        self.reload();
        let after = self.pids();
        assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    }

    /// Asserts that every worker reports this release, and that the status says the same.
    ///
    /// # Panics
    /// If that does not hold.
    #[track_caller]
    pub fn assert_runs_everywhere(&self, release: &str) {
        let status = self.status();
        assert_eq!(status.release, release, "the current release");
        for worker in status.workers.iter().filter(|worker| worker.instance <= status.desired) {
            assert_eq!(worker.release, release, "the release of {} in the status", worker.unit);
        }
        for (instance, running) in self.releases() {
            assert_eq!(running, release, "the release that worker@{instance} reports");
        }
    }
}
