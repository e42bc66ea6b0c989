//! The contents of the journal.

use serde_json::Value;

use crate::Cluster;

/// One entry of the journal with its fields.
#[derive(Debug, Clone)]
pub struct Entry {
    fields: Value,
}

impl Entry {
    /// Reads what `journalctl -o json` prints.
    pub(crate) fn read_all(text: &str) -> Vec<Self> {
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .map(|fields| Self { fields })
            .collect()
    }

    /// The text of a field; empty if there is no such field.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field("MESSAGE")
    }

    /// When journald received it, in microseconds of the monotonic clock.
    #[must_use]
    pub fn monotonic_usec(&self) -> u64 {
        self.field("__MONOTONIC_TIMESTAMP").parse().unwrap_or(0)
    }

    /// Whether it is a warning or worse.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        // syslog(3): 4 is a warning, and smaller numbers are worse.
        self.field("PRIORITY").parse::<u8>().is_ok_and(|priority| priority <= 4)
    }
}

impl Cluster {
    /// What these units have logged, and what systemd has logged about them, since this moment of the
    /// monotonic clock. Oldest first.
    #[track_caller]
    #[must_use]
    pub fn logged(&self, units: &[&str], since_usec: u64) -> Vec<Entry> {
        self.run(["journalctl", "--sync"]).assert_success();
        let units = units.iter().flat_map(|unit| ["-u", unit]);
        let text = self.journal(["-o", "json"].into_iter().chain(units));
        Entry::read_all(&text).into_iter().filter(|entry| entry.monotonic_usec() >= since_usec).collect()
    }
}
