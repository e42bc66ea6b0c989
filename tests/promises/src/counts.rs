//! How often a promise is put to the test.

use crate::artifacts;

/// The first value for short rounds, the second for full ones (`APP_CLUSTER_COUNTS`).
///
/// # Panics
/// When nobody says which.
#[must_use]
pub fn ci_or_full<T>(ci: T, full: T) -> T {
    match artifacts::variable("APP_CLUSTER_COUNTS").to_str() {
        Some("ci") => ci,
        Some("full") => full,
        other => panic!("APP_CLUSTER_COUNTS is {other:?}, expected ci or full"),
    }
}
