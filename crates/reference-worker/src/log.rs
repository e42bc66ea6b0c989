//! Logs to the journal with fields if stderr leads there, else to stderr.

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use log_thread::Log;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::identity::Identity;

/// Sends all log lines to their place from now on, from a separate thread, because this thread serves.
pub(crate) fn install(identity: &Identity) -> io::Result<Log> {
    let identity = identity.clone();
    log_thread::install(LevelFilter::INFO, move |level| {
        let journal = if is_journal() { tracing_journald::layer().ok() } else { None };
        match journal {
            Some(journal) => {
                tracing_subscriber::registry().with(with_fields(journal, &identity)).with(level).into()
            }
            None => {
                let stderr = tracing_subscriber::fmt::layer()
                    .with_ansi(io::stderr().is_terminal())
                    .with_writer(io::stderr);
                tracing_subscriber::registry().with(stderr).with(level).into()
            }
        }
    })
}

/// Prints why the worker ends. This uses stderr, also if stderr leads to the journal. A message that a
/// process sends to journald right before its end may arrive too late: journald can no longer find the unit
/// of the process.
pub(crate) fn fatal(error: &anyhow::Error) {
    // sd-daemon(3): the prefix is the priority of a line; 3 is an error.
    let priority = if is_journal() { "<3>" } else { "" };
    app_cluster_worker::last_words(&format!("{priority}{error:#}"));
}

fn with_fields(journal: tracing_journald::Layer, identity: &Identity) -> tracing_journald::Layer {
    let mut fields = vec![
        ("APP_CLUSTER_RELEASE", identity.release.clone()),
        ("APP_CLUSTER_VERSION", identity.version.to_owned()),
    ];
    fields.extend(identity.instance.map(|instance| ("APP_CLUSTER_INSTANCE", instance.to_string())));
    // The unit sets the same name for programs that write to stderr (`SyslogIdentifier=`).
    let name = identity.instance.map(|instance| format!("worker@{instance}"));
    journal
        .with_syslog_identifier(name.unwrap_or_else(|| "app-cluster-worker".to_owned()))
        .with_field_prefix(Some("APP_CLUSTER".to_owned()))
        .with_priority_mappings(PriorityMappings { info: Priority::Informational, ..PriorityMappings::new() })
        .with_custom_fields(fields)
}

/// Whether stderr is the stream that systemd connected to the journal (`$JOURNAL_STREAM`, systemd.exec(5)):
/// device and inode. If stderr was redirected, an inherited variable does not match.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}
