//! How often to test a promise.

use std::env;

use crate::artifacts;

/// Returns the first value for short runs, the second for full runs (`APP_CLUSTER_COUNTS`).
///
/// # Panics
/// If the variable is not set.
#[must_use]
pub fn ci_or_full<T>(ci: T, full: T) -> T {
    match artifacts::variable("APP_CLUSTER_COUNTS").to_str() {
        Some("ci") => ci,
        Some("full") => full,
        other => panic!("APP_CLUSTER_COUNTS is {other:?}, expected ci or full"),
    }
}

/// The number in this environment variable, or `otherwise` if it is not set.
///
/// # Panics
/// If it holds something else.
#[must_use]
pub fn number_or(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|error| panic!("{variable} is {text:?}: {error}"))
}
