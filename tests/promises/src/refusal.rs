//! Rollouts that are refused before the first worker is touched, and clusters that are well again.

use crate::Cluster;

/// The exit status of what was refused: nothing was changed.
const REFUSED: i32 = 4;

impl Cluster {
    /// Both ways to reload are refused, no worker is touched, and what is said holds all of these words. Returns
    /// what is said.
    ///
    /// # Panics
    /// When one of them is not.
    #[track_caller]
    pub fn refuses_to_reload(&self, words: &[&str]) -> String {
        self.does_not_reload(REFUSED, words)
    }

    /// Both ways to reload fail, the tool with this exit status, no worker is touched, and what is said holds all
    /// of these words. Returns what is said.
    ///
    /// # Panics
    /// When one of them does not.
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

    /// A reload succeeds and every worker is another process after it.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn reloads_all(&self) {
        let before = self.until_whole();
        self.until_at_rest();
        self.reload();
        let after = self.pids();
        assert!(after.iter().all(|(instance, pid)| before[instance] != *pid), "{before:?}, then {after:?}");
    }

    /// Every worker says of itself that it is of this release, and the status says the same.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn assert_runs_everywhere(&self, release: &str) {
        let status = self.status();
        assert_eq!(status.release, release, "the current release");
        for worker in status.workers.iter().filter(|worker| worker.instance <= status.desired) {
            assert_eq!(worker.release, release, "what status says of {}", worker.unit);
        }
        for (instance, running) in self.releases() {
            assert_eq!(running, release, "what worker@{instance} says of itself");
        }
    }
}
