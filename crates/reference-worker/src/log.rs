//! To the journal with fields when that is where stderr leads, else to stderr.

use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use log_thread::Log;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::identity::Identity;

/// Sends all that is logged from now on to where it belongs, from a thread of its own: this one serves.
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

/// Says why the worker ends. On stderr, also when that leads to the journal: what a process sends
/// to journald by itself right before its end may arrive when journald can no longer find out
/// which unit it came from.
pub(crate) fn fatal(error: &anyhow::Error) {
    // sd-daemon(3): the priority of a line, 3 is an error.
    let priority = if is_journal() { "<3>" } else { "" };
    app_cluster_worker::last_words(&format!("{priority}{error:#}"));
}

fn with_fields(journal: tracing_journald::Layer, identity: &Identity) -> tracing_journald::Layer {
    let mut fields = vec![
        ("APP_CLUSTER_RELEASE", identity.release.clone()),
        ("APP_CLUSTER_VERSION", identity.version.to_owned()),
    ];
    fields.extend(identity.instance.map(|instance| ("APP_CLUSTER_INSTANCE", instance.to_string())));
    // As the unit has it for programs that write to their standard error (`SyslogIdentifier=`).
    let name = identity.instance.map(|instance| format!("worker@{instance}"));
    journal
        .with_syslog_identifier(name.unwrap_or_else(|| "app-cluster-worker".to_owned()))
        .with_field_prefix(Some("APP_CLUSTER".to_owned()))
        .with_priority_mappings(PriorityMappings { info: Priority::Informational, ..PriorityMappings::new() })
        .with_custom_fields(fields)
}

/// Whether stderr is the stream that systemd connected to the journal (`$JOURNAL_STREAM`,
/// systemd.exec(5)): device and inode. A variable inherited past a redirection does not match.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}
