//! Why the orchestrator does not start: systemd's name of the step that failed, and what to do about it.

use std::process::Command;

use super::live::Shown;
use super::problem::Problem;
use super::units::SERVICE;

/// From here on, exit statuses come from systemd, for a step before the program; systemd.exec(5), PROCESS EXIT CODES.
const FIRST_OF_SYSTEMD: u32 = 200;
/// `si_code` of SIGCHLD in `ExecMainCode`, sigaction(2).
const EXITED: &str = "1";
/// The label of an orchestrator that does not start.
pub(super) const ORCHESTRATOR: &str = "orchestrator";

/// What prevents the orchestrator from running, if anything does.
pub(super) fn orchestrator(shown: &Shown) -> Option<Problem> {
    let waits = shown.get("SubState") == "auto-restart";
    let failed = shown.get("ActiveState") == "failed";
    if !waits && !failed {
        return None;
    }
    let status = shown.get("ExecMainStatus").parse().ok().filter(|_| shown.get("ExecMainCode") == EXITED);
    let (what, advice) = match status {
        Some(status) if status >= FIRST_OF_SYSTEMD => {
            (format!("systemd cannot start it, step {} failed ({status})", name(status)), remedy(status))
        }
        Some(status) => (format!("it ended with status {status}"), LOOK_IN_THE_JOURNAL),
        None => (format!("it ended with result `{}`", shown.get("Result")), LOOK_IN_THE_JOURNAL),
    };
    let (then, last) = match waits {
        true => ("systemd keeps trying", ""),
        false => ("systemd has given up", "; fix that, then write `systemctl start app-cluster`"),
    };
    Some(Problem::new(ORCHESTRATOR, SERVICE, format!("{what} ({then}); {advice}{last}")))
}

const LOOK_IN_THE_JOURNAL: &str = "`journalctl -u app-cluster -n 20` says why";

/// systemd's name of the status.
fn name(status: u32) -> String {
    let output = Command::new("systemd-analyze").args(["exit-status", &status.to_string()]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let word = text.lines().nth(1).and_then(|line| line.split_whitespace().next());
    word.unwrap_or("without a name").to_owned()
}

fn remedy(status: u32) -> &'static str {
    match status {
        226 => {
            "a container has to be allowed to nest (`security.nesting` of LXC and Incus, `features: nesting=1` of \
             Proxmox); elsewhere `journalctl -u app-cluster -n 20` names the path that is missing"
        }
        238 => {
            "/var/lib/app-cluster has to be a directory on a disk that can be written: look with `ls -ld \
             /var/lib/app-cluster`, and move away what is there instead"
        }
        233 => {
            "/run/app-cluster has to be a directory: look with `ls -ld /run/app-cluster`, and move away what is there instead"
        }
        216 | 217 => "write `systemd-sysusers app-cluster.conf`, which creates the users",
        203 => "write `apt install --reinstall app-cluster`: its program is missing or cannot be executed",
        225 | 228 => {
            "this kernel or container forbids a part of the sandbox: `journalctl -u app-cluster -n 20` names it, \
             and `systemctl edit app-cluster.service` can remove it"
        }
        _ => LOOK_IN_THE_JOURNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemds_own_name_of_the_step_is_said() {
        assert_eq!(name(226), "NAMESPACE");
        assert_eq!(name(238), "STATE_DIRECTORY");
    }
}
