//! Where the log goes: to the journal with fields, or to stderr where there is none.
//!
//! Fields are named `APP_CLUSTER_ROLLOUT=`, `APP_CLUSTER_WORKER=`, `APP_CLUSTER_STEP=`, `APP_CLUSTER_RESULT=`.

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, filter::LevelFilter, fmt};

/// Installs the subscriber.
pub(crate) fn init() {
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    let registry = tracing_subscriber::registry();
    match journal {
        Some(journal) => registry
            .with(
                journal
                    .with_field_prefix(Some("APP_CLUSTER".to_owned()))
                    .with_syslog_identifier("app-cluster".to_owned())
                    .with_filter(LevelFilter::INFO),
            )
            .init(),
        None => registry
            .with(fmt::layer().with_writer(std::io::stderr).with_target(false).without_time())
            .with(LevelFilter::INFO)
            .init(),
    }
}
