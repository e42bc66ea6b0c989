//! Reads the last lines of a worker, and of systemd about a unit, from the journal. The amount that it reads
//! is limited, whatever programs have written.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use cluster::input::{About, LastWords, Speaker};
use cluster::unit::InvocationId;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout_at};

use crate::clock;
use crate::printable::{clipped, escaped};

/// How many lines of a failed worker are shown.
const LINES: usize = 10;
/// How many bytes these lines have at most, together.
const BYTES: usize = 4096;
/// How many entries are read. It is more than [`LINES`], because other programs may have written some of
/// them.
const ENTRIES: &str = "40";
/// How many bytes of journalctl's output are read.
const OUTPUT: u64 = 1024 * 1024;
/// How long to wait until journald has stored what a process wrote just before it died.
const PATIENCE: Duration = Duration::from_secs(2);
/// systemd begins to start a unit (SD_MESSAGE_UNIT_STARTING, sd-messages.h).
const UNIT_STARTING: &str = "7d4958e842da4a758f6c1cdc7b36dcc5";
/// How long to wait for lines that may not come at all.
const SHORTLY: Duration = Duration::from_millis(250);
/// How far back to search for the failure of the socket.
const RECENTLY: Duration = Duration::from_secs(60);

/// The last lines of a worker with this unit. There may be none, or the journal may be unavailable. The
/// orchestrator then reports a failed rollout without them.
pub(crate) async fn last_words(unit: &str, speaker: &Speaker) -> LastWords {
    let since = Duration::from_micros(speaker.since_usec);
    let deadline = Instant::now() + PATIENCE;
    let invocation = match speaker.invocation {
        Some(invocation) => Some(hex(invocation)),
        None => first_run(unit, since, deadline).await,
    };
    let pid = (speaker.pid != 0).then(|| speaker.pid.to_string());
    let of_worker = |entry: &Entry| {
        let is_its = pid.is_some() && entry.pid == pid;
        (is_its || entry.may_be_of(unit, invocation.as_deref())).then(|| entry.text())
    };
    let by_worker = by_the_worker(unit, invocation.as_deref(), pid.as_deref());
    let mut words = LastWords::default();
    let said = match speaker.about {
        About::Nothing => patiently(&by_worker, since, deadline, of_worker).await,
        About::Unheard => {
            words.is_unheard = is_unheard(unit, since).await;
            patiently(&by_worker, since, deadline, of_worker).await
        }
        About::NotExecuted => {
            let reasons = patiently(&by_systemd(unit), since, deadline, |entry| entry.reason(unit)).await;
            // These are the lines of `ExecStartPre=`, if there are any. systemd's own may come before them.
            let soon = deadline.min(Instant::now() + SHORTLY);
            let mut said = patiently(&by_worker, since, soon, of_worker).await;
            said.extend(reasons);
            // systemd says the same each time that it tries again.
            said.dedup();
            said
        }
    };
    words.lines = bounded(said.iter().flat_map(|text| text.lines()));
    words
}

/// The first run of this unit that systemd has begun since then. A worker that fails at once may run again
/// before the orchestrator sees the run that failed, and what the later run says is no reason.
async fn first_run(unit: &str, since: Duration, deadline: Instant) -> Option<String> {
    let begins = [by_systemd(unit), vec![format!("MESSAGE_ID={UNIT_STARTING}")]].concat();
    patiently(&begins, since, deadline, |entry| entry.subject.clone()).await.into_iter().next()
}

/// Whether systemd has ignored a notification of this unit since then, because it did not come from the main
/// process.
async fn is_unheard(unit: &str, since: Duration) -> bool {
    let is_it = |entry: &Entry| entry.text().contains("reception only permitted for main PID");
    let entries = timeout_at(Instant::now() + PATIENCE, entries(&by_systemd(unit), since)).await;
    entries.ok().flatten().is_some_and(|entries| entries.iter().any(is_it))
}

/// The latest recent message of systemd about a failure of this unit, without the unit's name.
pub(crate) async fn failure_of(unit: &str) -> Option<String> {
    let since = clock::since_epoch(SystemTime::now()).saturating_sub(RECENTLY);
    let failure = |entry: &Entry| {
        let text = entry.text().strip_prefix(unit)?.strip_prefix(": ").map(str::to_owned);
        text.filter(|text| text.starts_with("Failed to "))
    };
    let reasons = patiently(&by_systemd(unit), since, Instant::now() + PATIENCE, failure).await;
    // The line that names the address comes before a line that summarizes the failure.
    let reason = reasons.into_iter().max_by_key(|text| text.contains('('));
    reason.map(|text| clipped(&escaped(&text), BYTES))
}

/// Whether the last job of this unit that systemd has logged was a stop.
pub(crate) async fn was_stopped(unit: &str) -> bool {
    let entries = timeout_at(Instant::now() + PATIENCE, entries(&by_systemd(unit), Duration::ZERO)).await;
    let mut newest_first = entries.ok().flatten().into_iter().flatten().rev();
    newest_first.find_map(|entry| entry.job).is_some_and(|job| job == "stop")
}

/// The last of these lines, escaped for a terminal.
fn bounded<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut last: Vec<_> = lines.collect();
    let older = last.len().saturating_sub(LINES);
    last.drain(..older);
    let mut left = BYTES;
    let mut shown = Vec::new();
    for line in last.into_iter().rev() {
        let line = clipped(&escaped(line), left);
        if line.len() > left {
            break;
        }
        left -= line.len();
        shown.push(line);
    }
    shown.reverse();
    shown
}

/// What `pick` finds in the matching entries, oldest first. Waits until there is something, or until the
/// deadline. Empty if the journal cannot be read.
async fn patiently(
    matches: &[String],
    since: Duration,
    deadline: Instant,
    pick: impl Fn(&Entry) -> Option<String>,
) -> Vec<String> {
    while let Ok(Some(entries)) = timeout_at(deadline, entries(matches, since)).await {
        let found: Vec<String> = entries.iter().filter_map(&pick).collect();
        if !found.is_empty() || Instant::now() >= deadline {
            return found;
        }
        // journald may be a moment behind. This polls only until the deadline.
        sleep(Duration::from_millis(50)).await;
    }
    Vec::new()
}

fn by_systemd(unit: &str) -> Vec<String> {
    vec![format!("UNIT={unit}"), "_PID=1".to_owned()]
}

fn by_the_worker(unit: &str, invocation: Option<&str>, pid: Option<&str>) -> Vec<String> {
    let identifier = unit.strip_suffix(".service").unwrap_or(unit);
    let by_pid = pid.map(|pid| [format!("_PID={pid}"), "+".to_owned()]);
    let others = [
        // These match what the worker wrote, not what PID 1 wrote about it.
        match invocation {
            Some(id) => format!("_SYSTEMD_INVOCATION_ID={id}"),
            None => format!("_SYSTEMD_UNIT={unit}"),
        },
        "+".to_owned(),
        // If a process has ended before journald looks, journald cannot determine its unit. But the name of
        // the stream on which the process wrote is that of the unit (`SyslogIdentifier=`).
        "_TRANSPORT=stdout".to_owned(),
        format!("SYSLOG_IDENTIFIER={identifier}"),
    ];
    by_pid.into_iter().flatten().chain(others).collect()
}

fn hex(InvocationId(bytes): InvocationId) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// The last entries since then that match, oldest first. `None` if the journal cannot be read.
async fn entries(matches: &[String], since: Duration) -> Option<Vec<Entry>> {
    let mut journalctl = Command::new("journalctl")
        // The newest entry comes first, so if there is too much, the oldest entries are not read.
        .args(["--quiet", "--no-pager", "--output=json", "--reverse", "--lines", ENTRIES])
        // Without --all, a field longer than 4096 bytes is null.
        .args([
            "--output-fields=MESSAGE,_SYSTEMD_UNIT,_SYSTEMD_INVOCATION_ID,_PID,INVOCATION_ID,JOB_TYPE",
            "--all",
        ])
        .arg(format!("--since=@{:.6}", since.as_secs_f64()))
        .args(matches)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut output = Vec::new();
    journalctl.stdout.take()?.take(OUTPUT).read_to_end(&mut output).await.ok()?;
    let is_all = (output.len() as u64) < OUTPUT;
    if !is_all {
        // An error means that it has already ended.
        let _ = journalctl.start_kill();
    }
    let status = journalctl.wait().await.ok()?;
    let mut entries: Vec<Entry> =
        output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    entries.reverse();
    (status.success() || !is_all).then_some(entries)
}

/// An entry of the journal (journalctl(1), `--output=json`).
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: Message,
    #[serde(rename = "_SYSTEMD_UNIT")]
    unit: Option<String>,
    #[serde(rename = "_SYSTEMD_INVOCATION_ID")]
    invocation: Option<String>,
    #[serde(rename = "_PID")]
    pid: Option<String>,
    /// The run of the unit that systemd says something about.
    #[serde(rename = "INVOCATION_ID")]
    subject: Option<String>,
    #[serde(rename = "JOB_TYPE")]
    job: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Text(String),
    /// A message that is not UTF-8.
    Bytes(Vec<u8>),
}

impl Entry {
    /// Whether the entry can come from this unit. Any process can give its stream the name of another unit.
    /// If the invocation is known, an entry of an earlier invocation does not match.
    fn may_be_of(&self, unit: &str, invocation: Option<&str>) -> bool {
        let is_of_run = invocation.is_none_or(|id| self.invocation.as_deref().is_none_or(|its| its == id));
        is_of_run && self.unit.as_ref().is_none_or(|its| its == unit)
    }

    /// The reason, in a message of systemd, why it could not execute the unit's program. The unit's name is
    /// removed.
    fn reason(&self, unit: &str) -> Option<String> {
        let text = self.text();
        let said = text.strip_prefix(unit)?.strip_prefix(": ")?;
        let is_reason = ["Failed to ", "Control process "].iter().any(|begin| said.starts_with(begin));
        is_reason.then(|| said.to_owned())
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

    fn said(entry: &str, invocation: Option<&str>) -> Option<String> {
        let entry: Entry = serde_json::from_str(entry).ok()?;
        entry.may_be_of("worker@5.service", invocation).then(|| entry.text())
    }

    #[test]
    fn an_entry_of_another_unit_is_not_believed() {
        let said = |entry| said(entry, None);
        assert_eq!(said(r#"{"MESSAGE":"a","_SYSTEMD_UNIT":"worker@5.service"}"#).as_deref(), Some("a"));
        assert_eq!(said(r#"{"MESSAGE":"a","__CURSOR":"s=1"}"#).as_deref(), Some("a"));
        assert_eq!(said(r#"{"MESSAGE":[226,130,172,255]}"#).as_deref(), Some("€\u{fffd}"));
        assert_eq!(said(r#"{"MESSAGE":"a","_SYSTEMD_UNIT":"session-1.scope"}"#), None);
        for garbage in ["", "[]", r#"{"MESSAGE":null}"#, "{}"] {
            assert_eq!(said(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn an_entry_of_an_earlier_run_is_not_its_last_word() {
        let entry = r#"{"MESSAGE":"a","_SYSTEMD_UNIT":"worker@5.service","_SYSTEMD_INVOCATION_ID":"0a"}"#;
        assert_eq!(said(entry, Some("0a")).as_deref(), Some("a"));
        assert_eq!(said(entry, Some("0b")), None);
        assert_eq!(said(r#"{"MESSAGE":"a"}"#, Some("0b")).as_deref(), Some("a"));
        assert_eq!(hex(InvocationId([10; 16])), "0a".repeat(16));
    }

    #[test]
    fn the_last_lines_are_shown_and_not_too_much_of_them() {
        let text: Vec<_> = (0..12).map(|number| format!("{number}\x07")).collect();
        let shown = bounded(text.iter().map(String::as_str));
        assert_eq!((shown.len(), shown[0].as_str(), shown[9].as_str()), (10, "2\\x07", "11\\x07"));

        let long = "ä".repeat(3000);
        let shown = bounded(["first", &long, "last"].into_iter());
        assert_eq!((shown.len(), shown[1].as_str()), (2, "last"));
        assert!(shown[0].starts_with('ä') && shown[0].ends_with('…'));
        assert!(shown.iter().map(String::len).sum::<usize>() <= BYTES);
    }
}
