//! The last words of a worker, from the journal.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout_at};

/// How many lines are shown of a worker that failed.
const LINES: &str = "10";
/// How long to wait for journald to write down what a process said just before it died.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last lines this unit's processes wrote since then, oldest first. Empty when there are none, or when
/// the journal cannot be read: a rollout's failure is told all the same.
pub(crate) async fn last_lines(unit: &str, since: SystemTime) -> Vec<String> {
    patiently(&by_the_worker(unit), since, |entry| entry.may_be_of(unit).then(|| entry.text())).await
}

/// Whether systemd has heard something from this unit since then that it does not listen to, because it did not come from the
/// main process.
pub(crate) async fn is_unheard(unit: &str, since: SystemTime) -> bool {
    let is_it = |entry: &Entry| entry.text().contains("reception only permitted for main PID");
    let entries = timeout_at(Instant::now() + PATIENCE, entries(&by_systemd(unit), since)).await;
    entries.ok().flatten().is_some_and(|entries| entries.iter().any(is_it))
}

/// What systemd said last of a failure of this unit since then, without the unit's name.
pub(crate) async fn failure_of(unit: &str, since: SystemTime) -> Option<String> {
    let failure = |entry: &Entry| {
        let text = entry.text().strip_prefix(unit)?.strip_prefix(": ").map(str::to_owned);
        text.filter(|text| text.starts_with("Failed to "))
    };
    let reasons = patiently(&by_systemd(unit), since, failure).await;
    // The line that names the address comes before one that sums it up.
    reasons.into_iter().max_by_key(|text| text.contains('('))
}

/// What `pick` finds in these entries, as soon as there is something; nothing if the journal cannot be read.
async fn patiently(
    matches: &[String],
    since: SystemTime,
    pick: impl Fn(&Entry) -> Option<String>,
) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    while let Ok(Some(entries)) = timeout_at(deadline, entries(matches, since)).await {
        let found: Vec<String> = entries.iter().filter_map(&pick).collect();
        if !found.is_empty() || Instant::now() >= deadline {
            return found;
        }
        // journald may be a moment behind; this is no poll at rest, it ends with the deadline.
        sleep(Duration::from_millis(50)).await;
    }
    Vec::new()
}

fn by_systemd(unit: &str) -> [String; 2] {
    [format!("UNIT={unit}"), "_PID=1".to_owned()]
}

fn by_the_worker(unit: &str) -> [String; 4] {
    let identifier = unit.strip_suffix(".service").unwrap_or(unit);
    [
        // What the worker said, not what PID 1 said about it.
        format!("_SYSTEMD_UNIT={unit}"),
        "+".to_owned(),
        // journald does not find out the unit of a process that has ended before it looks. The name of the stream on
        // which it spoke is that of the unit (`SyslogIdentifier=`).
        "_TRANSPORT=stdout".to_owned(),
        format!("SYSLOG_IDENTIFIER={identifier}"),
    ]
}

/// The last entries that match since then, oldest first.
async fn entries(matches: &[String], since: SystemTime) -> Option<Vec<Entry>> {
    let since = since.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let output = Command::new("journalctl")
        .args(["--quiet", "--no-pager", "--output=json", "--lines", LINES])
        // Without --all what is longer than 4096 bytes is null.
        .args(["--output-fields=MESSAGE,_SYSTEMD_UNIT", "--all"])
        .arg(format!("--since=@{since:.6}"))
        .args(matches)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().filter_map(|entry| serde_json::from_str(entry).ok()).collect())
}

/// An entry of the journal (journalctl(1), `--output=json`).
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: Message,
    #[serde(rename = "_SYSTEMD_UNIT")]
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    /// What is no text.
    Bytes(Vec<u8>),
}

impl Entry {
    /// Any process can give its stream the name of another's unit.
    fn may_be_of(&self, unit: &str) -> bool {
        self.unit.as_ref().is_none_or(|its| its == unit)
    }

    fn text(&self) -> String {
        match &self.message {
            Message::Text(text) => text.clone(),
            Message::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_another_unit_is_not_believed() {
        let said = |entry: &str| {
            let entry: Entry = serde_json::from_str(entry).ok()?;
            entry.may_be_of("worker@5.service").then(|| entry.text())
        };
        assert_eq!(said(r#"{"MESSAGE":"a","_SYSTEMD_UNIT":"worker@5.service"}"#).as_deref(), Some("a"));
        assert_eq!(said(r#"{"MESSAGE":"a","__CURSOR":"s=1"}"#).as_deref(), Some("a"));
        assert_eq!(said(r#"{"MESSAGE":[226,130,172,255]}"#).as_deref(), Some("€\u{fffd}"));
        assert_eq!(said(r#"{"MESSAGE":"a","_SYSTEMD_UNIT":"session-1.scope"}"#), None);
        for garbage in ["", "[]", r#"{"MESSAGE":null}"#, "{}"] {
            assert_eq!(said(garbage), None, "{garbage}");
        }
    }
}
