//! The history in a file: one JSON object per line, the newest last.
//!
//! ```text
//! {"version":2}
//! {"id":1795347605123,"begun_usec":1795347605130000,…,"kind":"deploy","by":"root","from":"1.2.0","to":"blog-7",…}
//! ```
//!
//! The file is replaced as a whole, so a power cut leaves either the old file or the new one. A file without
//! the first line is of version 1, which is otherwise the same. The keys and values are defined here, so that
//! a change of the bus or the cluster cannot change them.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cluster::history as known;
use cluster::release::ReleaseId;
use serde::{Deserialize, Serialize};

use crate::disk;

const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Line(#[serde(with = "Entry")] known::Entry);

#[derive(Serialize, Deserialize)]
#[serde(remote = "known::Entry")]
struct Entry {
    id: u64,
    begun_usec: u64,
    begun_monotonic_usec: u64,
    boot_id: String,
    ended_usec: Option<u64>,
    #[serde(with = "Kind")]
    kind: known::Kind,
    by: String,
    #[serde(default, with = "release")]
    from: Option<ReleaseId>,
    #[serde(default, with = "release")]
    to: Option<ReleaseId>,
    canary: Option<u32>,
    #[serde(with = "State")]
    state: known::State,
    failure: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "known::Kind", rename_all = "kebab-case")]
enum Kind {
    Reload,
    Package,
    Deploy,
    Rollback,
    Undo,
    Recycle,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "known::State", rename_all = "kebab-case")]
enum State {
    Running,
    Paused,
    Restoring,
    Done,
    Restored,
    Failed,
    Aborted,
    Interrupted,
}

mod release {
    use cluster::release::ReleaseId;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Option<ReleaseId>, to: S) -> Result<S::Ok, S::Error> {
        id.as_ref().map(ReleaseId::as_str).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ReleaseId>, D::Error> {
        let id = |name: String| {
            ReleaseId::new(&name).ok_or_else(|| D::Error::custom(format!("`{name}` cannot name a release")))
        };
        Option::<String>::deserialize(from)?.map(id).transpose()
    }
}

/// Reads the file. A line that cannot be parsed is skipped and logged. A copy of the damaged file is kept
/// beside it (`….damaged`).
pub(super) fn read(path: &Path) -> Vec<known::Entry> {
    match fs::read(path) {
        Ok(content) => parse(path, &content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            let kept = damaged(path);
            let path_words = path.display();
            tracing::error!("failed to read {path_words}: {error}; earlier rollouts are unknown");
            // The next rollout writes a new file in its place.
            if let Err(error) = fs::rename(path, &kept) {
                tracing::warn!("failed to keep it as {}: {error}; it may be lost", kept.display());
            }
            Vec::new()
        }
    }
}

fn parse(path: &Path, content: &[u8]) -> Vec<known::Entry> {
    let mut entries = Vec::new();
    let mut lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
    lines.next_if(|line| serde_json::from_slice::<Header>(line).is_ok());
    let mut count = 0;
    for line in lines {
        match serde_json::from_slice(line) {
            Ok(Line(entry)) => entries.push(entry),
            Err(error) => {
                count += 1;
                tracing::warn!("{}: {error} in a line; this rollout is unknown", path.display());
            }
        }
    }
    if count > 0 {
        let kept = damaged(path);
        match disk::write_atomically(&kept, content) {
            Ok(()) => tracing::warn!("{count} lines are damaged; a copy of the file is {}", kept.display()),
            Err(error) => {
                tracing::warn!("failed to write {}: {error}; the damaged lines are lost", kept.display());
            }
        }
    }
    entries
}

/// Replaces the file. After an error the old file is still there.
pub(super) fn write(path: &Path, entries: &[known::Entry]) -> io::Result<()> {
    let mut text = Vec::new();
    serde_json::to_writer(&mut text, &Header { version: VERSION })?;
    text.push(b'\n');
    for entry in entries {
        Entry::serialize(entry, &mut serde_json::Serializer::new(&mut text))?;
        text.push(b'\n');
    }
    disk::write_atomically(path, &text)
}

fn damaged(path: &Path) -> PathBuf {
    path.with_extension("damaged")
}
