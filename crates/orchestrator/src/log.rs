//! Where the log goes: to the journal with fields, or to stderr where there is none.
//!
//! Fields are named `APP_CLUSTER_ROLLOUT=`, `APP_CLUSTER_WORKER=`, `APP_CLUSTER_STEP=`, `APP_CLUSTER_RESULT=`.
//! What people look for by its meaning has a `MESSAGE_ID=` besides, which the catalog explains.

use std::io;

use log_thread::Log;
use tracing::Metadata;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// The target of events that bring their own `message_id` and whole field names.
pub(crate) const CATALOGUED: &str = "catalogued";

/// The ids in `/usr/lib/systemd/catalog/app-cluster.catalog`.
pub(crate) mod message_id {
    pub(crate) const ROLLOUT_DONE: &str = "e77c30205347a9fcd29676898e60589b";
    pub(crate) const ROLLOUT_FAILED: &str = "0477392c036be6d71ce8abadf0f2e413";
    pub(crate) const WORKER_FLAPS: &str = "7c6739e89ea0385e6c22f32039996c01";
    pub(crate) const ROLLOUT_UNDONE: &str = "66eaa9297bdedf11dea4335506b60a47";
}

/// Sends all that is logged from now on to where it belongs, from a thread of its own: this one answers the bus.
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
