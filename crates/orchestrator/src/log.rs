//! Sends the log to the journal with fields, or to stderr if there is no journal.
//!
//! The fields are `APP_CLUSTER_ROLLOUT=`, `APP_CLUSTER_WORKER=`, `APP_CLUSTER_STEP=` and
//! `APP_CLUSTER_RESULT=`. Important messages also have a `MESSAGE_ID=`, which the catalog explains.

use std::io;

use cluster::effect::{Catalogued, Level, Line};
use log_thread::Log;
use tracing::Metadata;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// The target of events that have a `message_id` and complete field names.
const CATALOGUED: &str = "catalogued";

/// The ids in `/usr/lib/systemd/catalog/app-cluster.catalog`.
mod message_id {
    pub(super) const ROLLOUT_DONE: &str = "e77c30205347a9fcd29676898e60589b";
    pub(super) const ROLLOUT_FAILED: &str = "0477392c036be6d71ce8abadf0f2e413";
    pub(super) const WORKER_FLAPS: &str = "7c6739e89ea0385e6c22f32039996c01";
    pub(super) const ROLLOUT_UNDONE: &str = "66eaa9297bdedf11dea4335506b60a47";
}

/// Starts the log. A separate thread writes it, because this thread answers the bus.
pub(crate) fn install() -> io::Result<Log> {
    log_thread::install(LevelFilter::INFO, |level| {
        let journal = || {
            let layer = tracing_journald::layer().ok()?;
            Some(layer.with_syslog_identifier("app-cluster".to_owned()))
        };
        let journals = std::env::var_os("JOURNAL_STREAM").and_then(|_| journal().zip(journal()));
        let registry = tracing_subscriber::registry();
        let is_catalogued = |metadata: &Metadata<'_>| metadata.target() == CATALOGUED;
        match journals {
            Some((prefixed, whole)) => registry
                .with(
                    prefixed
                        .with_field_prefix(Some("APP_CLUSTER".to_owned()))
                        .with_filter(filter_fn(move |metadata| !is_catalogued(metadata))),
                )
                .with(whole.with_field_prefix(None).with_filter(filter_fn(is_catalogued)))
                .with(level)
                .into(),
            None => registry
                .with(fmt::layer().with_writer(io::stderr).with_target(false).without_time())
                .with(level)
                .into(),
        }
    })
}

/// Logs an event of this level with the fields of a line. This is a macro because tracing requires constants
/// for the level and the names of fields.
macro_rules! event {
    ($level:ident, $line:expr, $message_id:expr) => {
        match $message_id {
            None => tracing::event!(
                tracing::Level::$level,
                rollout = $line.rollout,
                worker = $line.worker.map(tracing::field::display),
                step = $line.step,
                result = $line.result.as_deref(),
                "{}",
                $line.text
            ),
            Some(message_id) => tracing::event!(
                target: CATALOGUED,
                tracing::Level::$level,
                message_id,
                app_cluster_rollout = $line.rollout,
                app_cluster_worker = $line.worker.map(tracing::field::display),
                app_cluster_step = $line.step,
                app_cluster_result = $line.result.as_deref(),
                "{}",
                $line.text
            ),
        }
    };
}

/// Logs a line of the cluster.
pub(crate) fn write(line: &Line) {
    let message_id = line.catalogued.map(|catalogued| match catalogued {
        Catalogued::RolloutDone => message_id::ROLLOUT_DONE,
        Catalogued::RolloutFailed => message_id::ROLLOUT_FAILED,
        Catalogued::WorkerFlaps => message_id::WORKER_FLAPS,
        Catalogued::RolloutUndone => message_id::ROLLOUT_UNDONE,
    });
    match line.level {
        Level::Info => event!(INFO, line, message_id),
        Level::Warn => event!(WARN, line, message_id),
        Level::Error => event!(ERROR, line, message_id),
    }
}

#[cfg(test)]
mod tests {
    use super::message_id;

    #[test]
    fn the_catalog_knows_every_id() {
        let catalog = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../packaging/root/usr/lib/systemd/catalog/app-cluster.catalog"
        );
        let catalog = std::fs::read_to_string(catalog).unwrap();
        let ids = [
            message_id::ROLLOUT_DONE,
            message_id::ROLLOUT_FAILED,
            message_id::WORKER_FLAPS,
            message_id::ROLLOUT_UNDONE,
        ];
        for id in ids {
            assert!(catalog.contains(&format!("\n-- {id}\n")), "{id}");
        }
        assert_eq!(catalog.matches("\n-- ").count(), ids.len());
    }
}
