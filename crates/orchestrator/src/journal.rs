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

/// Whether systemd has heard something from this unit since then that it does not listen to, because it did not come from the
/// main process.
pub(crate) async fn is_unheard(unit: &str, since: SystemTime) -> bool {
    let is_it = |line: &String| line.contains("reception only permitted for main PID");
    let by_systemd = [format!("UNIT={unit}"), "_PID=1".to_owned()];
    let lines = timeout_at(Instant::now() + PATIENCE, lines(&by_systemd, since)).await;
    lines.ok().flatten().is_some_and(|lines| lines.iter().any(is_it))
}

async fn read(unit: &str, since: SystemTime) -> Option<Vec<String>> {
    // What the worker said, not what PID 1 said about it.
    lines(&[format!("_SYSTEMD_UNIT={unit}")], since).await
}

/// The last lines that match since then, oldest first.
async fn lines(matches: &[String], since: SystemTime) -> Option<Vec<String>> {
    let since = since.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let output = Command::new("journalctl")
        .args(["--quiet", "--no-pager", "--output=cat", "--lines", LINES])
        .arg(format!("--since=@{since:.6}"))
        .args(matches)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().map(str::to_owned).collect())
}
