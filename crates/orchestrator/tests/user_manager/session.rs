//! A private user manager with the cluster's units, and functions to query it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use machine::wait_for;

/// A deadline so long that missing it means a bug.
const DEADLINE: Duration = Duration::from_secs(60);

/// A private `systemd --user`. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    manager: Child,
}

impl Session {
    /// Starts the manager, and the cluster in it.
    pub(crate) fn with_cluster() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/user_manager/session.sh");
        // The manager dies with the test, however the test ends.
        let manager = Command::new("setpriv")
            .args(["--pdeathsig=TERM", "unshare", "--mount", "--propagation=private", "sh"])
            .arg(script)
            .arg(env!("CARGO_BIN_EXE_app-cluster-orchestrator"))
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare runs; the test needs root");
        let session = Self { manager };
        wait_for("the bus", DEADLINE, || session.systemctl(&["is-active", "dbus.service"]));
        session.systemctl(&["start", "app-cluster.service"]).expect("the cluster starts");
        session
    }

    /// Runs `systemctl --user`. Returns its output, or what went wrong.
    pub(crate) fn systemctl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut words = vec!["systemctl", "--user"];
        words.extend(arguments);
        self.run(&words)
    }

    /// Runs a command in the manager's namespaces. Returns its output, or what went wrong.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new("nsenter")
            .args(["--mount", &format!("--target={}", self.manager.id()), "--"])
            .args(["env", "XDG_RUNTIME_DIR=/run/user/0"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(format!("{words:?}: {} {} {}", output.status, text(&output.stdout), text(&output.stderr)))
        }
    }

    /// One property of one unit.
    pub(crate) fn show(&self, unit: &str, property: &str) -> String {
        self.systemctl(&["show", "--value", "--property", property, unit]).expect("systemctl show works")
    }

    /// The main processes of these workers.
    pub(crate) fn pids<const N: usize>(&self, instances: [u32; N]) -> [String; N] {
        instances.map(|n| self.show(&format!("worker@{n}.service"), "MainPID"))
    }

    /// Waits until `systemctl status` would show this sentence.
    #[track_caller]
    pub(crate) fn wait_for_status(&self, sentence: &str) {
        self.wait_until(&format!("the status `{sentence}`"), || {
            let status = self.show("app-cluster.service", "StatusText");
            if status.contains(sentence) { Ok(()) } else { Err(status) }
        });
    }

    /// Waits for a condition. On failure it prints the orchestrator's log.
    #[track_caller]
    pub(crate) fn wait_until<T>(&self, what: &str, condition: impl FnMut() -> Result<T, String>) -> T {
        wait_for(what, DEADLINE, condition)
    }

    /// The orchestrator's log.
    pub(crate) fn log(&self) -> String {
        self.run(&["cat", "/run/log"]).unwrap_or_default()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the orchestrator's log:\n{}", self.log());
        }
        // systemd --user stops its units on SIGTERM. Its cgroup is left, so this removes it.
        let id = self.manager.id();
        let ended = Command::new("kill").arg(id.to_string()).status().and_then(|_| self.manager.wait());
        let cgroups =
            format!("find /sys/fs/cgroup -depth -type d -path '*/app-cluster-test-{id}*' -exec rmdir {{}} +");
        let removed = Command::new("sh").args(["-c", &cgroups]).status();
        if let Err(error) = ended.and(removed) {
            eprintln!("failed to tidy up after the user manager: {error}");
        }
    }
}
