//! The last words of a worker, from the journal.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout_at};

/// How many lines are shown of a worker that failed.
const LINES: &str = "10";
/// How long to wait for journald to write down what a process said just before it died.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last lines this unit's processes wrote since then, oldest first. Empty when there are none, or when
/// the journal cannot be read: a rollout's failure is told all the same.
pub(crate) async fn last_lines(unit: &str, since: SystemTime) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match timeout_at(deadline, read(unit, since)).await {
            Ok(Some(lines)) if !lines.is_empty() => return lines,
            // journald may be a moment behind; this is no poll at rest, it ends with the deadline.
            Ok(Some(_)) if Instant::now() < deadline => sleep(Duration::from_millis(50)).await,
            _ => return Vec::new(),
        }
    }
}

async fn read(unit: &str, since: SystemTime) -> Option<Vec<String>> {
    let since = since.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let output = Command::new("journalctl")
        .args(["--quiet", "--no-pager", "--output=cat", "--lines", LINES])
        .arg(format!("--since=@{since:.6}"))
        // What the worker said, not what PID 1 said about it.
        .arg(format!("_SYSTEMD_UNIT={unit}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().map(str::to_owned).collect())
}
